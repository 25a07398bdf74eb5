import { type Problem, problemIn } from "../api/problem";
import type { Decided, Transaction } from "../api/shapes";

/** One request of a run, as it went. Times are in milliseconds since the first one was made. */
export interface Call {
  /** Its place among the run's requests, from 1. */
  readonly number: number;
  /** What it is in the scenario's story: "Racer 3". */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly key: string | null;
  readonly expectedVersion: number | null;
  /** The faults that it asked for, as in the header. */
  readonly faults: string | null;
  /** When the scenario wanted it. The browser may let it wait for a connection. */
  readonly askedAtMs: number;
  readonly sentAtMs: number | null;
  readonly endedAtMs: number | null;
  /** What came back; null as long as nothing has, or if nothing ever will. */
  readonly answer: CallAnswer | null;
  /** Whether it ended without an answer. */
  readonly isLost: boolean;
}

export interface CallAnswer {
  readonly status: number;
  readonly replayed: boolean | null;
  readonly fired: readonly string[];
  /** The body, byte for byte. */
  readonly body: string;
  readonly problem: Problem | null;
}

/** What became of a request, for people. */
export type Outcome =
  | "waiting"
  | "applied"
  | "replayed"
  | "conflict"
  | "rejected"
  | "fenced"
  | "refused"
  | "unknown"
  | "read";

export function outcomeOf({ method, path, answer, isLost }: Call): Outcome {
  if (answer === null) {
    return isLost ? "unknown" : "waiting";
  }
  const { status, problem, replayed } = answer;
  if (problem === null) {
    if (status < 200 || status > 299) {
      return "unknown";
    }
    return method === "GET"
      ? "read"
      : path === "/v1/fences"
        ? outcomeOfFence(answer)
        : replayed
          ? "replayed"
          : "applied";
  }
  if (method === "GET") {
    // That there is nothing is what was read.
    return status < 500 ? "read" : "unknown";
  }
  if (problem.slug === "version-conflict") {
    return "conflict";
  }
  if (problem.slug === "idempotency-key-fenced") {
    return "fenced";
  }
  return problem.outcome === "not_applied" ? "refused" : problem.outcome;
}

function outcomeOfFence(answer: CallAnswer): Outcome {
  const decided = decidedIn(answer)?.outcome;
  return decided === "applied" ? "replayed" : (decided ?? "unknown");
}

export const OUTCOME_WORDS: Record<Outcome, string> = {
  waiting: "Under way",
  applied: "Applied",
  replayed: "Answered again",
  conflict: "In conflict",
  rejected: "Rejected",
  fenced: "Ruled out",
  refused: "Turned away",
  unknown: "Unknown",
  read: "Read",
};

/** Whether the contract says to send it again with the same key: it was turned away, or nobody knows. */
export function isToBeSentAgain({ answer, isLost }: Call): boolean {
  return isLost || answer?.problem?.retry === "same_key";
}

/** The status and the kind of problem, as the contract has them; or that there is nothing. */
export function answerInShort({ answer, isLost }: Call): string {
  if (answer === null) {
    return isLost ? "no answer" : "…";
  }
  return answer.problem === null ? `${answer.status}` : `${answer.status} ${answer.problem.slug}`;
}

export function tookMs({ sentAtMs, endedAtMs }: Call): number | null {
  return sentAtMs === null || endedAtMs === null ? null : endedAtMs - sentAtMs;
}

/** The receipt that a write was answered with, if it was. */
export function receiptIn(answer: CallAnswer | null): Transaction | null {
  const body = parsed(answer);
  return typeof body === "object" && body !== null && "entries" in body ? (body as Transaction) : null;
}

/** What a fence or a look-up found under a key. */
export function decidedIn(answer: CallAnswer | null): Decided | null {
  const body = parsed(answer);
  return typeof body === "object" && body !== null && "outcome" in body && "key" in body
    ? (body as Decided)
    : null;
}

/** The version that a write left its wallet at. */
export function versionOf(call: Call): number | null {
  return receiptIn(call.answer)?.entries[0]?.version ?? null;
}

export async function answerOf(response: Response): Promise<CallAnswer> {
  const body = await response.text();
  const replayed = response.headers.get("Idempotent-Replayed");
  const fired = response.headers.get("Wallet-Lab-Fired");
  return {
    status: response.status,
    replayed: replayed === null ? null : replayed === "true",
    fired: fired ? fired.split(", ") : [],
    body,
    problem: response.ok ? null : problemIn(json(body)),
  };
}

function parsed(answer: CallAnswer | null): unknown {
  return answer === null || answer.problem !== null ? null : json(answer.body);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
