/** A problem of the contract (RFC 9457). `outcome` and `retry` say what became of a write and what to do next. */
export interface Problem {
  slug: string;
  title: string;
  detail: string;
  status: number;
  outcome: "not_applied" | "rejected" | "unknown";
  retry: "same_key" | "reread" | "new_key" | "never";
  /** What the kind of problem carries besides, such as `available` or `current_version`. */
  members: Readonly<Record<string, unknown>>;
}

const OUTCOMES: readonly unknown[] = ["not_applied", "rejected", "unknown"] satisfies Problem["outcome"][];
const RETRIES: readonly unknown[] = ["same_key", "reread", "new_key", "never"] satisfies Problem["retry"][];

/** The problem in an answer's body; null if the body is none, as when a proxy answered in the service's place. */
export function problemIn(body: unknown): Problem | null {
  if (typeof body !== "object" || body === null) {
    return null;
  }
  const { type, title, detail, status, outcome, retry, ...members } = body as Record<string, unknown>;
  if (typeof type !== "string" || typeof status !== "number") {
    return null;
  }
  if (!OUTCOMES.includes(outcome) || !RETRIES.includes(retry)) {
    return null;
  }
  return {
    slug: type.slice(type.lastIndexOf("/") + 1),
    title: typeof title === "string" ? title : "",
    detail: typeof detail === "string" ? detail : "",
    status,
    outcome: outcome as Problem["outcome"],
    retry: retry as Problem["retry"],
    members,
  };
}

/** An integer that a problem carries, if it does. */
export function unitsOf(problem: Problem, member: string): bigint | null {
  const value = problem.members[member];
  return Number.isSafeInteger(value) ? BigInt(value as number) : null;
}

/** A read that was answered with a problem. */
export class ReadFailed extends Error {
  override readonly name = "ReadFailed";

  constructor(
    readonly status: number,
    readonly problem: Problem | null,
  ) {
    super(problem?.title ?? `The service answered ${status}`);
  }
}

/** Whether a read failed because there is no such thing. */
export function isMissing(error: Error | null): boolean {
  return error instanceof ReadFailed && error.status === 404;
}
