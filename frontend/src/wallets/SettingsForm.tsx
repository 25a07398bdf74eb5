import { Stack, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import type { components } from "../api/schema";
import type { Wallet } from "../api/shapes";
import { useWriter } from "../intents/context";
import { editableAmount, parseAmount, type Reading } from "../money/amount";
import { ActionButton } from "../ui/ActionButton";
import { AmountField } from "../ui/AmountField";
import type { FormProps } from "./Actions";
import { changeDraft } from "./drafts";
import { NAME } from "./labels";
import { sumsOf, whyNotCeiling, whyNotFloor } from "./rules";
import { useWhyBusy } from "./WalletIntents";

/** Changes a wallet's name and limits. Only what differs is sent. */
export function SettingsForm({ wallet, onDone }: FormProps) {
  const writer = useWriter();
  const busy = useWhyBusy(wallet.id);
  const { currency } = wallet;
  // What the form started from: a wallet that changes meanwhile must not change what somebody is typing.
  const [start] = useState(() => sumsOf(wallet));
  const [name, setName] = useState(wallet.metadata[NAME] ?? "");
  const [overdraft, setOverdraft] = useState(
    start.floor === 0n ? "" : editableAmount(-start.floor, currency),
  );
  const [ceiling, setCeiling] = useState(
    start.ceiling === null ? "" : editableAmount(start.ceiling, currency),
  );
  const low: Reading = overdraft.trim() === "" ? { minor: 0n } : parseAmount(overdraft, currency);
  const high = ceiling.trim() === "" ? null : parseAmount(ceiling, currency);
  const floor = "minor" in low ? -low.minor : null;
  const lowWhyNot = floor === null || floor === start.floor ? null : whyNotFloor(wallet, floor);
  const top = high && "minor" in high ? high.minor : null;
  const highWhyNot = top === start.ceiling ? null : whyNotCeiling(wallet, top);
  const body = differences(wallet, name.trim(), floor ?? start.floor, top);
  const whyNot =
    busy ??
    ("wrong" in low ? low.wrong : lowWhyNot) ??
    (high && "wrong" in high ? high.wrong : highWhyNot) ??
    (Object.keys(body).length === 0 ? "Nothing is different yet" : null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (whyNot === null && writer.submit(changeDraft(wallet, "Change name and limits", body)) !== null) {
      onDone();
    }
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <TextInput
          label="Name"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          maxLength={100}
          data-autofocus
        />
        <AmountField
          label="Overdraft"
          description="How far below zero it may go; nothing is not at all"
          currency={currency}
          text={overdraft}
          onText={setOverdraft}
          reading={low}
          whyNot={lowWhyNot}
        />
        <AmountField
          label="Ceiling"
          description="The most that it may hold; nothing is no ceiling"
          currency={currency}
          text={ceiling}
          onText={setCeiling}
          reading={high ?? { minor: 0n }}
          whyNot={highWhyNot}
        />
        <ActionButton type="submit" whyNot={whyNot}>
          Change
        </ActionButton>
      </Stack>
    </form>
  );
}

function differences(
  wallet: Wallet,
  name: string,
  floor: bigint,
  ceiling: bigint | null,
): components["schemas"]["ChangeWalletBody"] {
  const { floor: oldFloor, ceiling: oldCeiling } = sumsOf(wallet);
  const { [NAME]: oldName = "", ...otherMetadata } = wallet.metadata;
  return {
    ...(floor !== oldFloor && { floor: Number(floor) }),
    ...(ceiling !== oldCeiling && { ceiling: ceiling === null ? null : Number(ceiling) }),
    // Metadata is replaced as a whole.
    ...(name !== oldName && { metadata: name === "" ? otherMetadata : { ...otherMetadata, [NAME]: name } }),
  };
}
