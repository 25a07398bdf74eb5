import { Autocomplete, Modal, Stack, TextInput } from "@mantine/core";
import { type FormEvent, useEffect, useState } from "react";
import { useLocation } from "wouter";
import { useTrackedAs, useWriter } from "../intents/context";
import { IntentCard } from "../intents/IntentCard";
import { openedId } from "../intents/settlement";
import { isOpen } from "../intents/writer";
import { parseAmount } from "../money/amount";
import { isCurrency, nameOf, suggestedCurrencies } from "../money/currency";
import { ActionButton } from "../ui/ActionButton";
import { AmountField } from "../ui/AmountField";
import { openDraft } from "./drafts";
import { NAME } from "./labels";

interface Props {
  opened: boolean;
  onClose: () => void;
}

/** Asks what wallet to open. What becomes of it is told by `OpenIntents`. */
export function OpenWalletDialog({ opened, onClose }: Props) {
  return (
    <Modal opened={opened} onClose={onClose} title="Open a wallet">
      <OpenWalletForm onSubmitted={onClose} />
    </Modal>
  );
}

/** What became of wallets that were to be opened. Goes to the new one, if somebody waits for it here. */
export function OpenIntents() {
  const writer = useWriter();
  const [, navigate] = useLocation();
  const all = useTrackedAs("open");
  // One that an earlier page left behind is only reported.
  const [arrived] = useState(() => all.map(({ intent }) => intent.key));
  const done = all.find(({ intent, stage }) => stage.is === "applied" && !arrived.includes(intent.key));
  useEffect(() => {
    if (done?.stage.is === "applied") {
      writer.dismiss(done.intent.key);
      navigate(`/wallets/${openedId(done.stage.receipt)}`);
    }
  }, [done, writer, navigate]);
  return all.map((tracked) => <IntentCard key={tracked.intent.key} tracked={tracked} wallet={null} />);
}

function OpenWalletForm({ onSubmitted }: { onSubmitted: () => void }) {
  const writer = useWriter();
  const [name, setName] = useState("");
  const [typed, setTyped] = useState("EUR");
  const [overdraft, setOverdraft] = useState("");
  const [ceiling, setCeiling] = useState("");
  const currency = typed.trim().toUpperCase();
  const known = isCurrency(currency);
  const unit = known ? currency : "EUR";
  const low = overdraft.trim() === "" ? null : parseAmount(overdraft, unit);
  const high = ceiling.trim() === "" ? null : parseAmount(ceiling, unit);
  const busy = useTrackedAs("open").some(isOpen);
  const whyNot = busy
    ? "Another wallet is being opened"
    : !known
      ? "A currency is 3 to 12 letters and digits, such as EUR"
      : low && "wrong" in low
        ? `Overdraft: ${low.wrong}`
        : high && "wrong" in high
          ? `Ceiling: ${high.wrong}`
          : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (whyNot !== null) {
      return;
    }
    writer.submit(
      openDraft({
        currency,
        floor: low && "minor" in low ? Number(-low.minor) : 0,
        ceiling: high && "minor" in high ? Number(high.minor) : null,
        metadata: name.trim() === "" ? {} : { [NAME]: name.trim() },
      }),
    );
    onSubmitted();
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <TextInput
          label="Name"
          description="For people; may be left out"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          maxLength={100}
          data-autofocus
        />
        <Autocomplete
          label="Currency"
          description={
            (known && nameOf(currency)) || "A code such as EUR, or a unit of your own such as POINTS"
          }
          data={suggestedCurrencies()}
          limit={6}
          value={typed}
          onChange={setTyped}
          error={
            typed.trim() !== "" && !known ? "3 to 12 letters and digits, starting with a letter" : undefined
          }
          required
        />
        <AmountField
          label="Overdraft"
          description="How far below zero it may go; nothing is not at all"
          currency={unit}
          text={overdraft}
          onText={setOverdraft}
          reading={low ?? { minor: 0n }}
        />
        <AmountField
          label="Ceiling"
          description="The most that it may hold; nothing is no ceiling"
          currency={unit}
          text={ceiling}
          onText={setCeiling}
          reading={high ?? { minor: 0n }}
        />
        <ActionButton type="submit" whyNot={whyNot}>
          Open the wallet
        </ActionButton>
      </Stack>
    </form>
  );
}
