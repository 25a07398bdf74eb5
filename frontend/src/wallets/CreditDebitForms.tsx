import type { FormProps } from "./Actions";
import { creditDraft, debitDraft } from "./drafts";
import { MoveForm } from "./MoveForm";

/** Money enters from outside. */
export function CreditForm({ wallet, onDone }: FormProps) {
  return (
    <MoveForm
      wallet={wallet}
      verb="Credit"
      changeOf={(amount) => ({ change: amount, heldChange: 0n })}
      draftOf={(amount, metadata) => creditDraft(wallet, amount, metadata)}
      onDone={onDone}
    />
  );
}

/** Money leaves to the outside. */
export function DebitForm({ wallet, onDone }: FormProps) {
  return (
    <MoveForm
      wallet={wallet}
      verb="Debit"
      changeOf={(amount) => ({ change: -amount, heldChange: 0n })}
      draftOf={(amount, metadata) => debitDraft(wallet, amount, metadata)}
      onDone={onDone}
    />
  );
}
