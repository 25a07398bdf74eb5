import { MutationObserver, type QueryClient } from "@tanstack/react-query";
import type { Problem } from "../api/problem";
import type { Decided, Wallet } from "../api/shapes";
import { type Draft, decidedAgain, type Intent, intentOf } from "./intent";
import { journal } from "./journal";
import { type Answer, fenced, type Settlement, settlementAfter, settlementOf } from "./settlement";
import type { Transport } from "./transport";

export const RETRIES_MAX = 4;
const RETRY_MS_FIRST = 500;
const RETRY_MS_MAX = 8_000;

/** Where an intent stands. */
export type Stage =
  /** Under way. `paused`: the browser is offline, and it goes out when it is back. */
  | { is: "sending"; attempts: number; paused: boolean; problem: Problem | null }
  | { is: "fencing" }
  /** Sent as often as is done unasked. `unknown`: it may have taken effect. */
  | { is: "stalled"; unknown: boolean; problem: Problem | null }
  | { is: "fenced" }
  | Exclude<Settlement, { is: "again" }>;

export interface Tracked {
  readonly intent: Intent;
  /** Whether an attempt may have taken effect that was not answered. */
  readonly uncertain: boolean;
  readonly stage: Stage;
}

/** Whether nothing else may be written to the intent's wallets yet. */
export function isOpen({ stage }: Tracked): boolean {
  return ["sending", "fencing", "stalled", "conflict"].includes(stage.is);
}

/** Whether dropping the intent leaves nothing behind: it is certain that it had no effect and will have none. */
export function canDrop({ stage, uncertain }: Tracked): boolean {
  return (
    stage.is === "conflict" ||
    (!uncertain && (stage.is === "stalled" || (stage.is === "sending" && stage.paused)))
  );
}

/** Ends an attempt whose intent is to be sent again. */
class SendAgain extends Error {
  constructor(readonly settlement: Extract<Settlement, { is: "again" }>) {
    super("send it again with the same key");
  }
}

/** Ends an attempt whose intent was dropped while it waited for its turn. */
class Dropped extends Error {}

/**
 * The only way to write. Each wallet has at most one intent under way; each intent keeps its key until it is settled,
 * through retries, reloads and restarts of the browser; and nothing is believed but a successful answer.
 */
export class Writer {
  private tracked: readonly Tracked[] = [];
  private readonly listeners = new Set<() => void>();
  private stopped = false;

  constructor(
    private readonly queries: QueryClient,
    private readonly transport: Transport,
    private readonly account: string,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** All intents of this page, oldest first, the settled ones until they are dismissed. */
  readonly snapshot = (): readonly Tracked[] => this.tracked;

  /** Settle what an earlier page left open. A conflict waits for a person; all else is sent again with its key. */
  resume(): void {
    for (const { intent, uncertain, conflict } of journal.of(this.account)) {
      if (conflict !== null) {
        this.put({ intent, uncertain, stage: { is: "conflict", problem: conflict } });
      } else {
        this.put({ intent, uncertain, stage: { is: "sending", attempts: 0, paused: false, problem: null } });
        void this.send(intent.key);
      }
    }
  }

  /** End all attempts, on signing out. What is open stays in the journal. */
  stop(): void {
    this.stopped = true;
  }

  /** Take on an intent. Returns its key; null if one of its wallets has another one under way. */
  submit(draft: Draft): string | null {
    if (this.tracked.some((each) => isOpen(each) && touches(each, draft.wallets, draft.operation))) {
      return null;
    }
    const intent = intentOf(draft, this.account);
    // What was said of the last one has been read by now.
    this.tracked = this.tracked.filter(
      (each) => isOpen(each) || !touches(each, draft.wallets, draft.operation),
    );
    this.put({
      intent,
      uncertain: false,
      stage: { is: "sending", attempts: 0, paused: false, problem: null },
    });
    this.keep(intent.key);
    void this.send(intent.key);
    return intent.key;
  }

  /** Send a stalled intent again, with the same key. */
  retry(key: string): void {
    if (this.find(key)?.stage.is === "stalled") {
      void this.send(key);
    }
  }

  /** After a conflict: the same intent and key, based on what the wallet is now. */
  decideAgain(key: string, wallet: Wallet): void {
    const tracked = this.find(key);
    if (tracked?.stage.is === "conflict") {
      this.put({ ...tracked, intent: decidedAgain(tracked.intent, wallet) });
      void this.send(key);
    }
  }

  /** Make a stalled intent impossible, or learn that it took effect. */
  async fence(key: string): Promise<void> {
    const tracked = this.find(key);
    if (tracked?.stage.is !== "stalled") {
      return;
    }
    const before = tracked.stage;
    this.stage(key, { is: "fencing" });
    const answer = await this.transport.fence(key);
    const found = "status" in answer && answer.status === 200 ? fenced(answer.body as Decided) : null;
    this.stage(key, found === null || found.is === "again" ? before : found);
    this.settled(key);
  }

  /** Let go of an intent that is settled, or that certainly had no effect and will have none. */
  dismiss(key: string): void {
    const tracked = this.find(key);
    if (tracked !== undefined && (!isOpen(tracked) || canDrop(tracked))) {
      journal.forget(key);
      this.tracked = this.tracked.filter((each) => each !== tracked);
      this.tell();
    }
  }

  /** Retries, their pace and waiting for the network are the library's. */
  private async send(key: string): Promise<void> {
    const observer = new MutationObserver<Settlement, Error, void>(this.queries, {
      mutationFn: () => this.attempt(key),
      retry: (failures, error) => !this.stopped && error instanceof SendAgain && failures < RETRIES_MAX,
      retryDelay: (failures, error) =>
        retryMs(failures, error instanceof SendAgain ? error.settlement.afterMs : null),
      networkMode: "online",
    });
    const unsubscribe = observer.subscribe(({ isPending, failureCount, failureReason, isPaused }) => {
      if (isPending) {
        const problem = failureReason instanceof SendAgain ? failureReason.settlement.problem : null;
        this.stage(key, { is: "sending", attempts: failureCount, paused: isPaused, problem });
      }
    });
    try {
      const settlement = await observer.mutate();
      if (settlement.is !== "again") {
        this.stage(key, settlement);
      }
    } catch (error) {
      if (!(error instanceof Dropped)) {
        const problem = error instanceof SendAgain ? error.settlement.problem : null;
        this.stage(key, { is: "stalled", unknown: this.find(key)?.uncertain ?? true, problem });
      }
    } finally {
      unsubscribe();
      this.settled(key);
    }
  }

  /** One attempt. From before it is sent until it is answered, the journal says that it may have taken effect. */
  private async attempt(key: string): Promise<Settlement> {
    const before = this.find(key);
    if (before === undefined || this.stopped) {
      throw new Dropped();
    }
    this.put({ ...before, uncertain: true });
    this.keep(key);
    const answer: Answer = await this.transport.send(before.intent);
    const settlement = settlementAfter(before.uncertain, settlementOf(answer));
    const again = settlement.is === "again";
    const now = this.find(key) ?? before;
    this.put({ ...now, uncertain: again && (settlement.unknown || before.uncertain) });
    this.keep(key);
    if (again) {
      throw new SendAgain(settlement);
    }
    return settlement;
  }

  /** Bring the journal and the pages up to what is known of an intent now. */
  private settled(key: string): void {
    const tracked = this.find(key);
    if (tracked === undefined) {
      return;
    }
    if (isOpen(tracked)) {
      this.keep(key);
    } else {
      journal.forget(key);
    }
    void this.queries.invalidateQueries({ queryKey: ["wallets"] });
    for (const wallet of tracked.intent.wallets) {
      void this.queries.invalidateQueries({ queryKey: ["wallet", wallet] });
    }
  }

  private find(key: string): Tracked | undefined {
    return this.tracked.find((each) => each.intent.key === key);
  }

  private stage(key: string, stage: Stage): void {
    const tracked = this.find(key);
    if (tracked !== undefined) {
      this.put({ ...tracked, stage });
    }
  }

  private keep(key: string): void {
    const tracked = this.find(key);
    if (tracked !== undefined) {
      const conflict = tracked.stage.is === "conflict" ? tracked.stage.problem : null;
      journal.keep({ intent: tracked.intent, uncertain: tracked.uncertain, conflict });
    }
  }

  private put(tracked: Tracked): void {
    const known = this.tracked.some((each) => each.intent.key === tracked.intent.key);
    this.tracked = known
      ? this.tracked.map((each) => (each.intent.key === tracked.intent.key ? tracked : each))
      : [...this.tracked, tracked];
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) {
      listener();
    }
  }
}

function touches({ intent }: Tracked, wallets: readonly string[], operation: Intent["operation"]): boolean {
  // A wallet that is being opened has no id yet; opening one at a time takes the place of that.
  return operation === "open"
    ? intent.operation === "open"
    : intent.wallets.some((wallet) => wallets.includes(wallet));
}

function retryMs(failures: number, afterMs: number | null): number {
  const backoff = Math.min(RETRY_MS_MAX, RETRY_MS_FIRST * 2 ** failures);
  // Clients that failed together should not come back together.
  return Math.max(afterMs ?? 0, backoff * (0.5 + Math.random() / 2));
}
