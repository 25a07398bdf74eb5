import type { QueryClient } from "@tanstack/react-query";
import { onlineManager } from "@tanstack/react-query";
import { useEffect } from "react";
import { client } from "./client";
import type { Transaction } from "./shapes";

/** How long the service may keep a question for news, in milliseconds. */
export const WAIT_MS = 20_000;

/** How long there is between two questions at least, in milliseconds: in a busy ledger there is always news. */
export const PACE_MS = 200;

/** How long there is between two questions when the last one got no answer, in milliseconds. */
export const RETRY_MS = 3_000;

const ANSWER_MS_MAX = 10_000;
const PAGE_EVENTS = 500;

/** What the service tells of, and the cursor to ask with next. */
export interface News {
  transactions: readonly Transaction[];
  cursor: string;
}

/** Asks what has come after a cursor, and waits for it. Fails where the service does not tell. */
export type Ask = (after: string, signal: AbortSignal) => Promise<News>;

let live = false;

/** Whether this page is told of changes as they happen, and need not ask for them again and again. */
export function isLive(): boolean {
  return live;
}

/**
 * Have what the pages show asked for again as soon as a transaction touches it, until the signal. Where the service
 * does not tell, or is away, `isLive` is false and the pages ask for themselves.
 */
export async function followChanges(queries: QueryClient, ask: Ask, signal: AbortSignal): Promise<void> {
  let cursor = "now";
  while (!signal.aborted) {
    try {
      const news = await ask(cursor, signal);
      if (!live) {
        // What happened before is not told.
        live = true;
        void queries.invalidateQueries({ queryKey: ["wallets"] });
        void queries.invalidateQueries({ queryKey: ["wallet"] });
      }
      touched(queries, news.transactions);
      cursor = news.cursor;
      await pause(PACE_MS, signal);
    } catch {
      cursor = "now";
      quiet(queries);
      await pause(RETRY_MS, signal);
    }
  }
  quiet(queries);
}

/** Follow the changes while the page is to be seen and the browser has a network. */
export function useChanges(queries: QueryClient, apiKey: string | null): void {
  useEffect(() => {
    if (apiKey === null) {
      return;
    }
    let following: AbortController | null = null;
    const look = () => {
      // A page in the background keeps no connection: a browser has six to a service, for all of its tabs.
      const wanted = document.visibilityState === "visible" && onlineManager.isOnline();
      if (wanted && following === null) {
        following = new AbortController();
        void followChanges(queries, askService, following.signal);
      } else if (!wanted) {
        following?.abort();
        following = null;
      }
    };
    look();
    document.addEventListener("visibilitychange", look);
    const unsubscribe = onlineManager.subscribe(look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      unsubscribe();
      following?.abort();
    };
  }, [queries, apiKey]);
}

async function askService(after: string, signal: AbortSignal): Promise<News> {
  // The first question only finds out from where on.
  const wait_ms = after === "now" ? 0 : WAIT_MS;
  const { data } = await client.GET("/v1/events", {
    params: { query: { after, limit: PAGE_EVENTS, wait_ms } },
    headers: { Accept: "application/json" },
    signal: AbortSignal.any([signal, AbortSignal.timeout(wait_ms + ANSWER_MS_MAX)]),
  });
  // A stream of them, which was not asked for, would be text.
  if (data === undefined || typeof data === "string") {
    throw new Error("the service does not tell of changes now");
  }
  return { transactions: data.items.map((item) => item.transaction), cursor: data.next_cursor };
}

function touched(queries: QueryClient, transactions: readonly Transaction[]): void {
  const wallets = new Set(transactions.flatMap((each) => each.entries.map((entry) => entry.wallet_id)));
  for (const wallet of wallets) {
    // Everything else on its page depends on the version that this brings.
    void queries.invalidateQueries({ queryKey: ["wallet", wallet, "state"] });
  }
  if (wallets.size > 0) {
    void queries.invalidateQueries({ queryKey: ["wallets"] });
  }
}

/** Have the pages ask for themselves again. */
function quiet(queries: QueryClient): void {
  if (live) {
    live = false;
    void queries.invalidateQueries({ queryKey: ["wallets"] });
    void queries.invalidateQueries({ queryKey: ["wallet"] });
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) {
      end();
    }
  });
}
