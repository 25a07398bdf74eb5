import { newId } from "../api/id";
import type { Wallet } from "../api/shapes";

/** What kind of write it is, for words and icons. */
export type Operation =
  | "open"
  | "credit"
  | "debit"
  | "transfer"
  | "hold"
  | "capture"
  | "release"
  | "reverse"
  | "change";

/** One thing that somebody wants to happen, once, however often it has to be sent. */
export interface Intent {
  /** The idempotency key: made before the first attempt, the same for all attempts. */
  readonly key: string;
  /** Who wants it; see `accountOf`. */
  readonly account: string;
  readonly operation: Operation;
  /** What is wanted, for people: "Credit €5.00". */
  readonly title: string;
  /** The wallets it touches. Each has at most one write under way. */
  readonly wallets: readonly string[];
  readonly currency: string;
  /** What it does to the first of those wallets, in minor units; null if it moves nothing or more than that tells. */
  readonly effect: Effect | null;
  readonly request: WriteRequest;
  /** The wallet's version that the decision was based on, where the call takes one. */
  readonly guard: Guard | null;
  /** When the decision was made, in milliseconds since 1970. */
  readonly decidedAt: number;
}

export interface Effect {
  readonly change: number;
  readonly heldChange: number;
}

export interface WriteRequest {
  readonly method: "post" | "patch";
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Guard {
  readonly wallet: string;
  readonly version: number;
  /** What the wallet looked like, so that a conflict can be explained. In minor units. */
  readonly balance: number;
  readonly held: number;
  readonly status: Wallet["status"];
  /** How the call takes it: a member of its own, or a map for several wallets. */
  readonly as: "expected_version" | "expected_versions";
}

/** An intent before it has a key and an owner. */
export type Draft = Omit<Intent, "key" | "account" | "decidedAt">;

export function intentOf(draft: Draft, account: string): Intent {
  return { ...draft, key: newId(), account, decidedAt: Date.now() };
}

/** What the page shows of a wallet, as the guard of a write that is based on it. */
export function guardOf(wallet: Wallet, as: Guard["as"] = "expected_version"): Guard {
  const { id, version, balance, held, status } = wallet;
  return { wallet: id, version, balance, held, status, as };
}

/** The same intent, decided again on what the wallet looks like now. The key stays: it is still the same intent. */
export function decidedAgain(intent: Intent, wallet: Wallet): Intent {
  return { ...intent, guard: guardOf(wallet, intent.guard?.as) };
}

/** What is sent: the intent and the version it is based on. */
export function bodyOf({ request, guard }: Intent): Record<string, unknown> {
  if (guard === null) {
    return { ...request.body };
  }
  const expected = guard.as === "expected_version" ? guard.version : { [guard.wallet]: guard.version };
  return { ...request.body, [guard.as]: expected };
}
