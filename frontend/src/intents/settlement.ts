import { type Problem, problemIn } from "../api/problem";
import type { Decided, Transaction, Wallet } from "../api/shapes";

/** What a write that took effect is answered with: the new wallet for opening one, else the transaction. */
export type Receipt = Transaction | Wallet;

/** What came back, or that nothing did. */
export type Answer =
  | { status: number; body: unknown; replayed: boolean; retryAfterMs: number | null }
  | { lost: "network" | "time" };

/** What an answer means for the intent. */
export type Settlement =
  /** It took effect; `replayed` if it already had, by an earlier attempt. */
  | { is: "applied"; receipt: Receipt; replayed: boolean }
  /** Somebody else wrote to the wallet since it was read. Nothing happened; the same key may be used again. */
  | { is: "conflict"; problem: Problem }
  /** Send it again with the same key. `unknown`: it may have taken effect; else it is certain that it has not. */
  | { is: "again"; unknown: boolean; problem: Problem | null; afterMs: number | null }
  /** Decided, remembered, and not done: the key is spent. */
  | { is: "rejected"; problem: Problem }
  /** This attempt did nothing, and the same request never will. */
  | { is: "refused"; problem: Problem };

/** What an answer means: for a problem, what its members `outcome` and `retry` say, and no table of statuses. */
export function settlementOf(answer: Answer): Settlement {
  if ("lost" in answer) {
    return { is: "again", unknown: true, problem: null, afterMs: null };
  }
  const { status, body, replayed, retryAfterMs } = answer;
  if (status >= 200 && status < 300 && isReceipt(body)) {
    return { is: "applied", receipt: body, replayed };
  }
  const problem = problemIn(body);
  if (problem === null) {
    // Not the service's words: something between it and us answered, and may have passed the write on.
    return { is: "again", unknown: true, problem: null, afterMs: retryAfterMs };
  }
  switch (problem.retry) {
    case "same_key":
      return { is: "again", unknown: problem.outcome === "unknown", problem, afterMs: retryAfterMs };
    case "reread":
      return { is: "conflict", problem };
    case "new_key":
      return { is: "rejected", problem };
    case "never":
      return problem.outcome === "unknown"
        ? { is: "again", unknown: true, problem, afterMs: null }
        : { is: "refused", problem };
  }
}

/**
 * The settlement, given whether an earlier attempt may have taken effect.
 *
 * "This request does nothing" says nothing about an earlier attempt that was never answered, so that one stays
 * unknown. A conflict or a rejection does say it: the service looks the key up before it judges anything.
 */
export function settlementAfter(uncertain: boolean, settlement: Settlement): Settlement {
  return uncertain && settlement.is === "refused"
    ? { is: "again", unknown: true, problem: settlement.problem, afterMs: null }
    : settlement;
}

/** What a fence found. Null if the answer is none of the contract's. */
export function fenced(decided: Decided): Settlement | { is: "fenced" } | null {
  switch (decided.outcome) {
    case "fenced":
      return { is: "fenced" };
    case "applied":
      return decided.transaction === undefined
        ? null
        : { is: "applied", receipt: decided.transaction, replayed: true };
    case "rejected": {
      const problem = problemIn(decided.problem);
      return problem === null ? null : { is: "rejected", problem };
    }
  }
}

/** What a receipt says of a wallet: its balance (in minor units) and version right after; null if it says nothing. */
export function leftBy(receipt: Receipt, wallet: string): { balance: number; version: number } | null {
  if (!("entries" in receipt)) {
    return receipt.id === wallet ? receipt : null;
  }
  const entry = receipt.entries.find((each) => each.wallet_id === wallet);
  return entry === undefined ? null : { balance: entry.balance_after, version: entry.version };
}

/** The id of the wallet that was opened. A fence that finds it opened gives the transaction, of one entry. */
export function openedId(receipt: Receipt): string | undefined {
  return "entries" in receipt ? receipt.entries[0]?.wallet_id : receipt.id;
}

function isReceipt(body: unknown): body is Receipt {
  return typeof body === "object" && body !== null && "id" in body;
}
