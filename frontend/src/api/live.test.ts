import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { followChanges, isLive, type News, PACE_MS, RETRY_MS } from "./live";
import type { Transaction } from "./shapes";

type Told = News | Error;

let ending: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  ending = new AbortController();
});

afterEach(async () => {
  ending.abort();
  await vi.advanceTimersByTimeAsync(RETRY_MS);
  vi.useRealTimers();
});

/** Follow a service that tells this, and then nothing for ever. */
function follow(told: Told[]) {
  const queries = new QueryClient();
  const invalidated: unknown[] = [];
  vi.spyOn(queries, "invalidateQueries").mockImplementation(async (filters) => {
    invalidated.push(filters?.queryKey);
  });
  const asked: string[] = [];
  const ask = async (after: string): Promise<News> => {
    asked.push(after);
    const next = told.shift();
    if (next === undefined) {
      return new Promise((_, reject) => ending.signal.addEventListener("abort", () => reject(new Error())));
    }
    if (next instanceof Error) {
      throw next;
    }
    return next;
  };
  void followChanges(queries, ask, ending.signal);
  return { asked, invalidated };
}

function news(cursor: string, ...wallets: string[]): News {
  const transaction = { entries: wallets.map((wallet_id) => ({ wallet_id })) };
  return { cursor, transactions: wallets.length > 0 ? [transaction as Transaction] : [] };
}

describe("live changes", () => {
  it("have only the touched wallets and the lists asked for again", async () => {
    const { asked, invalidated } = follow([news("1"), news("2", "a", "b")]);
    await vi.advanceTimersByTimeAsync(0);
    expect(isLive()).toBe(true);
    invalidated.length = 0;
    await vi.advanceTimersByTimeAsync(PACE_MS);
    expect(invalidated).toEqual([["wallet", "a", "state"], ["wallet", "b", "state"], ["wallets"]]);
    await vi.advanceTimersByTimeAsync(PACE_MS);
    expect(asked).toEqual(["now", "1", "2"]);
  });

  it("begin with a look at everything, since nothing of before is told", async () => {
    const { invalidated } = follow([news("1")]);
    await vi.advanceTimersByTimeAsync(0);
    expect(invalidated).toEqual([["wallets"], ["wallet"]]);
  });

  it("leave the pages to ask for themselves while the service does not tell, and come back", async () => {
    const { asked, invalidated } = follow([news("1"), new Error("gone"), news("9")]);
    await vi.advanceTimersByTimeAsync(0);
    invalidated.length = 0;
    await vi.advanceTimersByTimeAsync(PACE_MS);
    expect(isLive()).toBe(false);
    expect(invalidated).toEqual([["wallets"], ["wallet"]]);
    await vi.advanceTimersByTimeAsync(RETRY_MS);
    expect(isLive()).toBe(true);
    expect(asked.slice(0, 3)).toEqual(["now", "1", "now"]);
  });

  it("are over when nobody wants them any more", async () => {
    const { asked } = follow([news("1")]);
    await vi.advanceTimersByTimeAsync(0);
    ending.abort();
    await vi.advanceTimersByTimeAsync(PACE_MS);
    expect(isLive()).toBe(false);
    expect(asked).toEqual(["now"]);
  });
});
