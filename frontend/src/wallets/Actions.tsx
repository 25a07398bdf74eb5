import { Modal } from "@mantine/core";
import {
  ArrowDownToLine,
  ArrowRightLeft,
  ArrowUpFromLine,
  Lock,
  Settings,
  Snowflake,
  Sun,
  XCircle,
} from "lucide-react";
import { useState } from "react";
import type { Wallet } from "../api/shapes";
import { ActionButton } from "../ui/ActionButton";
import { CreditForm, DebitForm } from "./CreditDebitForms";
import { HoldForm } from "./HoldForm";
import { whyNotClose, whyNotIn, whyNotOut } from "./rules";
import { SettingsForm } from "./SettingsForm";
import { StatusForm } from "./StatusForm";
import { TransferForm } from "./TransferForm";
import { useWhyBusy } from "./WalletIntents";
import classes from "./wallet.module.css";

type Action = "credit" | "debit" | "transfer" | "hold" | "settings" | "freeze" | "unfreeze" | "close";

const TITLES: Record<Action, string> = {
  credit: "Credit",
  debit: "Debit",
  transfer: "Transfer",
  hold: "Place a hold",
  settings: "Name and limits",
  freeze: "Freeze the wallet",
  unfreeze: "Unfreeze the wallet",
  close: "Close the wallet",
};

/** All that can be done with a wallet. What would be refused says why instead. */
export function Actions({ wallet }: { wallet: Wallet }) {
  const [action, setAction] = useState<Action | null>(null);
  const busy = useWhyBusy(wallet.id);
  const close = () => setAction(null);
  const props = (name: Action, whyNot: string | null) => ({
    whyNot: busy ?? whyNot,
    onClick: () => setAction(name),
  });
  const out = whyNotOut(wallet);
  const frozen = wallet.status === "frozen";
  return (
    <fieldset className={classes.actions} aria-label="What can be done">
      <ActionButton
        leftSection={<ArrowDownToLine size={16} aria-hidden />}
        {...props("credit", whyNotIn(wallet))}
      >
        Credit
      </ActionButton>
      <ActionButton
        variant="light"
        leftSection={<ArrowUpFromLine size={16} aria-hidden />}
        {...props("debit", out)}
      >
        Debit
      </ActionButton>
      <ActionButton
        variant="light"
        leftSection={<ArrowRightLeft size={16} aria-hidden />}
        {...props("transfer", out)}
      >
        Transfer
      </ActionButton>
      <ActionButton variant="light" leftSection={<Lock size={16} aria-hidden />} {...props("hold", out)}>
        Hold
      </ActionButton>
      <div className={classes.manage}>
        <ActionButton
          variant="default"
          leftSection={frozen ? <Sun size={16} aria-hidden /> : <Snowflake size={16} aria-hidden />}
          {...props(frozen ? "unfreeze" : "freeze", whyNotIn(wallet))}
        >
          {frozen ? "Unfreeze" : "Freeze"}
        </ActionButton>
        <ActionButton
          variant="default"
          leftSection={<Settings size={16} aria-hidden />}
          {...props("settings", whyNotIn(wallet))}
        >
          Limits
        </ActionButton>
        <ActionButton
          variant="default"
          leftSection={<XCircle size={16} aria-hidden />}
          {...props("close", whyNotClose(wallet))}
        >
          Close
        </ActionButton>
      </div>
      <Modal opened={action !== null} onClose={close} title={action && TITLES[action]}>
        <Form action={action} wallet={wallet} onDone={close} />
      </Modal>
    </fieldset>
  );
}

/** What every form of an action needs: `onDone` is called when its intent is under way. */
export interface FormProps {
  wallet: Wallet;
  onDone: () => void;
}

function Form({ action, ...props }: FormProps & { action: Action | null }) {
  switch (action) {
    case null:
      return null;
    case "credit":
      return <CreditForm {...props} />;
    case "debit":
      return <DebitForm {...props} />;
    case "transfer":
      return <TransferForm {...props} />;
    case "hold":
      return <HoldForm {...props} />;
    case "settings":
      return <SettingsForm {...props} />;
    case "freeze":
      return <StatusForm {...props} to="frozen" />;
    case "unfreeze":
      return <StatusForm {...props} to="active" />;
    case "close":
      return <StatusForm {...props} to="closed" />;
  }
}
