import { QueryClient } from "@tanstack/react-query";
import { vi } from "vitest";
import type { Wallet } from "../api/shapes";
import { type Draft, guardOf, type Intent } from "./intent";
import type { Answer } from "./settlement";
import type { Transport } from "./transport";
import { type Tracked, Writer } from "./writer";

export const ACCOUNT = "account";
export const wallet = { id: "w", version: 7, balance: 1500, held: 0, status: "active" } as Wallet;
export const draft: Draft = {
  operation: "credit",
  title: "Credit €5.00",
  wallets: ["w"],
  currency: "EUR",
  effect: { change: 500, heldChange: 0 },
  request: { method: "post", path: "/v1/wallets/w/credits", body: { amount: 500 } },
  guard: guardOf(wallet),
};

export const applied: Answer = {
  status: 201,
  body: { id: "t", entries: [{ wallet_id: "w", version: 8, balance_after: 2000 }] },
  replayed: false,
  retryAfterMs: null,
};
export const lost: Answer = { lost: "network" };
export const busy = problem(503, "overloaded", "not_applied", "same_key");
export const conflict = problem(409, "version-conflict", "not_applied", "reread");
export const rejected = problem(422, "insufficient-funds", "rejected", "new_key");
export const refused = problem(403, "forbidden", "not_applied", "never");

export function problem(status: number, slug: string, outcome: string, retry: string): Answer {
  const body = { type: `/problems/${slug}`, title: "", status, detail: "", instance: "/", outcome, retry };
  return { status, body, replayed: false, retryAfterMs: null };
}

/** A service that gives these answers, the last one again and again, and remembers what it was sent. */
export class Script implements Transport {
  readonly sent: Intent[] = [];
  readonly fenced: string[] = [];
  fenceAnswer: Answer = lost;

  constructor(private readonly answers: Answer[]) {}

  async send(intent: Intent): Promise<Answer> {
    this.sent.push(intent);
    return (this.answers.length > 1 ? this.answers.shift() : this.answers[0]) ?? lost;
  }

  async fence(key: string): Promise<Answer> {
    this.fenced.push(key);
    return this.fenceAnswer;
  }
}

export function writerOn(script: Transport, account = ACCOUNT): Writer {
  const queries = new QueryClient();
  // As its provider does on a page: then what is paused goes on when the network is back.
  queries.mount();
  return new Writer(queries, script, account);
}

export function only(writer: Writer): Tracked {
  const [tracked, ...others] = writer.snapshot();
  if (tracked === undefined || others.length > 0) {
    throw new Error(`not one intent but ${writer.snapshot().length}`);
  }
  return tracked;
}

export const settle = () => vi.advanceTimersByTimeAsync(60_000);
export const stored = () =>
  Array.from({ length: localStorage.length }, (_, index) => localStorage.key(index));

/** The browser's storage, empty. */
export function stubStorage(): void {
  const items = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    get length() {
      return items.size;
    },
    key: (index: number) => [...items.keys()][index] ?? null,
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, value: string) => items.set(name, value),
    removeItem: (name: string) => items.delete(name),
  });
}
