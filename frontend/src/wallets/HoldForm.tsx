import { Select } from "@mantine/core";
import { useState } from "react";
import type { Wallet } from "../api/shapes";
import type { FormProps } from "./Actions";
import { holdDraft } from "./drafts";
import { MoveForm } from "./MoveForm";
import { WalletPicker } from "./WalletPicker";

/** In seconds. */
const EXPIRIES = [
  { value: "", label: "Never" },
  { value: "60", label: "In a minute" },
  { value: "3600", label: "In an hour" },
  { value: "86400", label: "In a day" },
  { value: "604800", label: "In a week" },
  { value: "2592000", label: "In 30 days" },
];

/** Money is set aside. */
export function HoldForm({ wallet, onDone }: FormProps) {
  const [to, setTo] = useState<Wallet | null>(null);
  const [expiry, setExpiry] = useState("");
  return (
    <MoveForm
      wallet={wallet}
      verb="Hold"
      changeOf={(amount) => ({ change: 0n, heldChange: amount })}
      draftOf={(amount, metadata) =>
        holdDraft(wallet, amount, {
          ...(to && { destination: to.id }),
          ...(expiry !== "" && { expires_in: Number(expiry) }),
          metadata,
        })
      }
      onDone={onDone}
    >
      <Select
        label="Expires"
        data={EXPIRIES}
        value={expiry}
        onChange={(value) => setExpiry(value ?? "")}
        allowDeselect={false}
      />
      <WalletPicker
        label="Captured into"
        description="Nothing: a capture pays out"
        not={wallet.id}
        currency={wallet.currency}
        chosen={to}
        onChoose={setTo}
      />
    </MoveForm>
  );
}
