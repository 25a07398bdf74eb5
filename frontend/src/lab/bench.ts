import pLimit from "p-limit";
import { client, dataOf } from "../api/client";
import { newId } from "../api/id";
import type { Wallet, WalletEntry, WalletVerification } from "../api/shapes";
import { NAME } from "../wallets/labels";
import { answerOf, type Call, type CallAnswer } from "./call";

/** What wallets of the lab count: a unit of its own, so that no run ever mixes with money. */
export const UNIT = "LAB";

/** As many requests as a browser has under way to one server; more would wait in it unseen. */
export const CONNECTIONS_MAX = 6;

/** How long the lab waits for an answer, in milliseconds: longer than any delay that a scenario asks for. */
const ANSWER_MS_MAX = 45_000;

/** How often the lab looks whether the replay cache is asked again, and how long it waits between, in milliseconds. */
const CACHE_LOOKS_MAX = 50;
const CACHE_LOOK_MS = 100;

interface Options {
  /** The idempotency key; a new one, unless told. */
  key?: string;
  expectedVersion?: number;
  /** The faults to ask for: `before-answer=drop`. */
  faults?: string | null;
}

interface Via {
  fetch: (request: Request) => Promise<Response>;
  headers: Record<string, string>;
  signal: AbortSignal;
}

/** Where a scenario works: it opens wallets, sends requests, and reads what came of them, which all is recorded. */
export class Bench {
  readonly wallets: string[] = [];
  private readonly calls: Call[] = [];
  /** When the first request was made: what came before only sets the stage. */
  private began: number | null = null;
  private readonly inTurn = pLimit(CONNECTIONS_MAX);

  constructor(
    private readonly title: string,
    private readonly signal: AbortSignal,
    private readonly onCalls: (calls: readonly Call[]) => void,
  ) {}

  /** Open a wallet of the run's own, with a balance. It is the stage and no act, so it is not on the timeline. */
  async open(balance = 0): Promise<Wallet> {
    const header = () => ({ "Idempotency-Key": newId() });
    const wallet = dataOf(
      await client.POST("/v1/wallets", {
        params: { header: header() },
        body: { currency: UNIT, metadata: { [NAME]: `Lab: ${this.title}` } },
        signal: this.signal,
      }),
    );
    this.wallets.push(wallet.id);
    if (balance > 0) {
      dataOf(
        await client.POST("/v1/wallets/{id}/credits", {
          params: { path: { id: wallet.id }, header: header() },
          body: { amount: balance },
          signal: this.signal,
        }),
      );
    }
    return this.wallet(wallet.id);
  }

  credit(name: string, id: string, amount: number, options: Options = {}): Promise<Call> {
    return this.write(name, id, "/v1/wallets/{id}/credits", amount, options);
  }

  debit(name: string, id: string, amount: number, options: Options = {}): Promise<Call> {
    return this.write(name, id, "/v1/wallets/{id}/debits", amount, options);
  }

  /** Make sure that nothing more can happen under a key, and learn what has. */
  fence(name: string, key: string): Promise<Call> {
    return this.call(name, { key }, (via) => client.POST("/v1/fences", { body: { key }, ...via }));
  }

  /** What the service remembers under a key. */
  lookUp(name: string, key: string): Promise<Call> {
    return this.call(name, { key }, (via) =>
      client.GET("/v1/idempotency-keys", { params: { query: { key } }, ...via }),
    );
  }

  /** The wallet as it is now: the truth, and on no timeline. */
  async wallet(id: string): Promise<Wallet> {
    const found = dataOf(
      await client.GET("/v1/wallets/{id}", { params: { path: { id } }, signal: this.signal }),
    );
    if (!("status" in found)) {
      throw new TypeError("asked for the wallet as it is, and got it as it was");
    }
    return found;
  }

  /** All that has happened to a wallet, oldest first. */
  async entries(id: string): Promise<WalletEntry[]> {
    const found: WalletEntry[] = [];
    let cursor: string | null = null;
    do {
      const query: { limit: number; cursor?: string } = { limit: 500, ...(cursor && { cursor }) };
      const page = dataOf(
        await client.GET("/v1/wallets/{id}/entries", {
          params: { path: { id }, query },
          signal: this.signal,
        }),
      );
      found.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return found.reverse();
  }

  /** The proof of a wallet's whole history. */
  async proof(id: string): Promise<WalletVerification> {
    return dataOf(
      await client.GET("/v1/wallets/{id}/verification", { params: { path: { id } }, signal: this.signal }),
    );
  }

  /** Wait until the service asks its replay cache, which it does not for a while after that has failed. */
  async cacheIsAsked(): Promise<void> {
    for (let n = 1; n <= CACHE_LOOKS_MAX; n++) {
      if (dataOf(await client.GET("/v1/lab", { signal: this.signal })).cache_asked) {
        return;
      }
      await this.sleep(CACHE_LOOK_MS);
    }
  }

  /** Wait, unless the run is stopped. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.signal.throwIfAborted();
      const timer = setTimeout(resolve, ms);
      this.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(this.signal.reason);
      });
    });
  }

  private write(
    name: string,
    id: string,
    path: "/v1/wallets/{id}/credits" | "/v1/wallets/{id}/debits",
    amount: number,
    { key = newId(), expectedVersion, faults = null }: Options,
  ): Promise<Call> {
    const body = { amount, ...(expectedVersion !== undefined && { expected_version: expectedVersion }) };
    return this.call(name, { key, expectedVersion: expectedVersion ?? null, faults }, (via) =>
      client.POST(path, { params: { path: { id }, header: { "Idempotency-Key": key } }, body, ...via }),
    );
  }

  /** Send one request when it is its turn. Never raises for what becomes of it, but when the run is stopped. */
  private call(
    name: string,
    known: { key: string; expectedVersion?: number | null; faults?: string | null },
    ask: (via: Via) => Promise<unknown>,
  ): Promise<Call> {
    this.began ??= performance.now();
    const index = this.calls.length;
    this.calls.push({
      number: index + 1,
      name,
      method: "",
      path: "",
      expectedVersion: null,
      faults: null,
      ...known,
      askedAtMs: this.now(),
      sentAtMs: null,
      endedAtMs: null,
      answer: null,
      isLost: false,
    });
    const update = (change: Partial<Call>): Call => {
      const call = { ...(this.calls[index] as Call), ...change };
      this.calls[index] = call;
      this.onCalls([...this.calls]);
      return call;
    };
    update({});
    const done = this.inTurn(async () => {
      this.signal.throwIfAborted();
      let answer: CallAnswer | null = null;
      const via: Via = {
        headers: known.faults ? { "Wallet-Lab-Fault": known.faults } : {},
        signal: AbortSignal.any([this.signal, AbortSignal.timeout(ANSWER_MS_MAX)]),
        fetch: async (request) => {
          update({ sentAtMs: this.now(), method: request.method, path: new URL(request.url).pathname });
          const response = await fetch(request);
          answer = await answerOf(response.clone());
          update({ endedAtMs: this.now(), answer });
          return response;
        },
      };
      try {
        await ask(via);
      } catch {
        // That nothing came back is a result too, unless somebody stopped the run.
        this.signal.throwIfAborted();
      }
      return answer === null ? update({ endedAtMs: this.now(), isLost: true }) : (this.calls[index] as Call);
    });
    // A run that is stopped does not wait for all that it has sent.
    done.catch(() => undefined);
    return done;
  }

  /** Milliseconds since the first request was made. */
  now(): number {
    return this.began === null ? 0 : Math.round((performance.now() - this.began) * 10) / 10;
  }
}
