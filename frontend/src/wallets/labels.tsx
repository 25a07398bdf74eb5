import { Badge } from "@mantine/core";
import type { Hold, Kind, Transaction, Wallet, WalletStatus } from "../api/shapes";

/** The member of a wallet's metadata under which this UI keeps a name for people, and of a transaction's for a note. */
export const NAME = "name";
export const NOTE = "note";

/** What a wallet is called: its name, or its currency. */
export function titleOf(wallet: Wallet): string {
  return wallet.metadata[NAME] || `${wallet.currency} wallet`;
}

/** Whether a text is the id of some wallet. */
export function isWalletId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

/** The end of an id, for where the whole one is at hand besides. */
export function shortId(id: string): string {
  return `…${id.slice(-8)}`;
}

export function StatusBadge({ status }: { status: WalletStatus }) {
  const color = { active: "teal", frozen: "blue", closed: "gray" }[status];
  return (
    <Badge color={color} variant="light" tt="none">
      {{ active: "Active", frozen: "Frozen", closed: "Closed" }[status]}
    </Badge>
  );
}

export function HoldBadge({ status }: { status: Hold["status"] }) {
  const color = { active: "yellow", captured: "teal", released: "gray", expired: "gray" }[status];
  return (
    <Badge color={color} variant="light" tt="none">
      {{ active: "Active", captured: "Captured", released: "Released", expired: "Expired" }[status]}
    </Badge>
  );
}

/** What an entry is, for people: a `post` is a credit, a debit or a transfer by what it did. */
export function kindLabel(kind: Kind, change: number): string {
  if (kind === "post") {
    return change > 0 ? "Money in" : change < 0 ? "Money out" : "Moved";
  }
  return {
    open: "Opened",
    hold: "Hold placed",
    capture: "Hold captured",
    release: "Hold released",
    expiry: "Hold expired",
    reversal: "Reversal",
    change: "Wallet changed",
  }[kind];
}

/** What a transaction is, as a whole. */
export function transactionTitle({ kind, postings }: Transaction): string {
  const [first] = postings;
  if (kind !== "post" || first === undefined) {
    return kindLabel(kind, 0);
  }
  if (postings.length > 1) {
    return `${postings.length} postings`;
  }
  return first.source === null ? "Credit" : first.destination === null ? "Debit" : "Transfer";
}
