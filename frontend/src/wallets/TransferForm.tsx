import { useState } from "react";
import type { Wallet } from "../api/shapes";
import type { FormProps } from "./Actions";
import { transferDraft } from "./drafts";
import { MoveForm } from "./MoveForm";
import { whyNotIn } from "./rules";
import { useWhyBusy } from "./WalletIntents";
import { WalletPicker } from "./WalletPicker";

/** Money moves to another wallet of the same currency. */
export function TransferForm({ wallet, onDone }: FormProps) {
  const [to, setTo] = useState<Wallet | null>(null);
  const busy = useWhyBusy(to?.id);
  const whyNot = to === null ? "Choose where it goes" : (busy ?? whyNotIn(to));
  return (
    <MoveForm
      wallet={wallet}
      verb="Transfer"
      changeOf={(amount) => ({ change: -amount, heldChange: 0n })}
      draftOf={(amount, metadata) => (to === null ? null : transferDraft(wallet, to.id, amount, metadata))}
      whyNot={whyNot}
      onDone={onDone}
    >
      <WalletPicker
        label="To"
        not={wallet.id}
        currency={wallet.currency}
        chosen={to}
        onChoose={setTo}
        required
      />
    </MoveForm>
  );
}
