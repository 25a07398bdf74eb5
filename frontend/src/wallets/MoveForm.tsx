import { Stack, TextInput } from "@mantine/core";
import { type FormEvent, type ReactNode, useState } from "react";
import type { Wallet } from "../api/shapes";
import { useWriter } from "../intents/context";
import type { Draft } from "../intents/intent";
import { formatAmount, parsePositive } from "../money/amount";
import { ActionButton } from "../ui/ActionButton";
import { AmountField } from "../ui/AmountField";
import { NOTE } from "./labels";
import { Preview } from "./Preview";
import { type Change, whyNotChange } from "./rules";
import { useWhyBusy } from "./WalletIntents";

interface Props {
  wallet: Wallet;
  /** What is done with the amount, as the button says it. */
  verb: string;
  changeOf: (amount: bigint) => Change;
  draftOf: (amount: bigint, metadata: Record<string, string>) => Draft | null;
  /** Why not, for reasons other than the amount. */
  whyNot?: string | null;
  onDone: () => void;
  /** Fields besides the amount and the note. */
  children?: ReactNode;
}

/** Asks for an amount and shows what it would do. What is sent is based on the wallet as the form then shows it. */
export function MoveForm({ wallet, verb, changeOf, draftOf, whyNot = null, onDone, children }: Props) {
  const writer = useWriter();
  const busy = useWhyBusy(wallet.id);
  const [text, setText] = useState("");
  const [note, setNote] = useState("");
  const reading = parsePositive(text, wallet.currency);
  const change = "minor" in reading ? changeOf(reading.minor) : null;
  const refused = change && whyNotChange(wallet, change);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const metadata: Record<string, string> = note.trim() === "" ? {} : { [NOTE]: note.trim() };
    const draft = "minor" in reading ? draftOf(reading.minor, metadata) : null;
    if (draft !== null && writer.submit(draft) !== null) {
      onDone();
    }
  };
  const written = "minor" in reading ? ` ${formatAmount(reading.minor, wallet.currency)}` : "";
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <AmountField
          label="Amount"
          currency={wallet.currency}
          text={text}
          onText={setText}
          reading={reading}
          whyNot={refused}
          required
          autoFocus
        />
        {children}
        <TextInput
          label="Note"
          description="Kept with the transaction for ever; may be left out"
          value={note}
          onChange={(event) => setNote(event.currentTarget.value)}
          maxLength={200}
        />
        <Preview wallet={wallet} change={refused ? null : change} />
        <ActionButton
          type="submit"
          whyNot={busy ?? ("wrong" in reading ? reading.wrong : (refused ?? whyNot))}
        >
          {verb}
          {written}
        </ActionButton>
      </Stack>
    </form>
  );
}
