import type { Problem } from "../api/problem";
import type { Intent } from "./intent";

/** What is kept of an intent until it is settled, so that a reload or a crash of the browser forgets nothing. */
export interface Kept {
  readonly intent: Intent;
  /** Whether an attempt may have taken effect: it was sent and not (yet) answered. */
  readonly uncertain: boolean;
  /** The conflict that waits for a decision, if one does. */
  readonly conflict: Problem | null;
}

const PREFIX = "wallet.intent.";

/** The intents that are not settled yet, in the browser's storage: one item each, so that tabs do not overwrite each other. */
export const journal = {
  keep(kept: Kept): void {
    localStorage.setItem(PREFIX + kept.intent.key, JSON.stringify(kept));
  },

  forget(key: string): void {
    localStorage.removeItem(PREFIX + key);
  },

  /** What an account left unsettled, oldest first. */
  of(account: string): Kept[] {
    const names = Array.from({ length: localStorage.length }, (_, index) => localStorage.key(index));
    return names
      .filter((name) => name?.startsWith(PREFIX))
      .map((name) => read(name ?? ""))
      .filter((kept) => kept !== null)
      .filter((kept) => kept.intent.account === account)
      .sort((a, b) => a.intent.decidedAt - b.intent.decidedAt);
  },
};

function read(name: string): Kept | null {
  try {
    const kept = JSON.parse(localStorage.getItem(name) ?? "null") as Kept | null;
    return typeof kept?.intent?.key === "string" && PREFIX + kept.intent.key === name ? kept : null;
  } catch {
    // Written by something else; not ours to remove.
    return null;
  }
}
