import { Checkbox, Stack } from "@mantine/core";
import { type FormEvent, useState } from "react";
import type { Hold } from "../api/shapes";
import { useWriter } from "../intents/context";
import { editableAmount, formatAmount, parsePositive } from "../money/amount";
import { ActionButton } from "../ui/ActionButton";
import { AmountField } from "../ui/AmountField";
import type { FormProps } from "./Actions";
import { captureDraft } from "./drafts";
import { Preview } from "./Preview";
import { whyNotCapture } from "./rules";
import { useWhyBusy } from "./WalletIntents";

/** Takes a hold, or a part of it. */
export function CaptureForm({ wallet, hold, onDone }: FormProps & { hold: Hold }) {
  const writer = useWriter();
  const busy = useWhyBusy(wallet.id, hold.destination);
  const { currency } = wallet;
  const remaining = BigInt(hold.remaining);
  const [text, setText] = useState(editableAmount(remaining, currency));
  const [final, setFinal] = useState(true);
  const reading = parsePositive(text, currency);
  const amount = "minor" in reading ? reading.minor : null;
  const exceeds = amount !== null && amount > remaining;
  const tooMuch = exceeds ? `Only ${formatAmount(remaining, currency)} is left of the hold` : null;
  const done = final || amount === remaining;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (amount !== null && !exceeds && writer.submit(captureDraft(wallet, hold, amount, final)) !== null) {
      onDone();
    }
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <AmountField
          label="Amount"
          currency={currency}
          text={text}
          onText={setText}
          reading={reading}
          whyNot={tooMuch}
          required
          autoFocus
        />
        <Checkbox
          label="Release what remains"
          description="Otherwise the rest stays held, and may be captured later"
          checked={final}
          onChange={(event) => setFinal(event.currentTarget.checked)}
        />
        <Preview
          wallet={wallet}
          change={
            amount === null || exceeds ? null : { change: -amount, heldChange: done ? -remaining : -amount }
          }
        />
        <ActionButton
          type="submit"
          whyNot={busy ?? ("wrong" in reading ? reading.wrong : (tooMuch ?? whyNotCapture(wallet, hold)))}
        >
          Capture{amount === null ? "" : ` ${formatAmount(amount, currency)}`}
        </ActionButton>
      </Stack>
    </form>
  );
}
