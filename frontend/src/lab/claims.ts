import type { WalletEntry } from "../api/shapes";
import { formatAmount } from "../money/amount";
import { UNIT } from "./bench";
import { type Call, OUTCOME_WORDS, type Outcome, outcomeOf, versionOf } from "./call";

/** What has to be true after a run, in words, beside what the service says. */
export interface Claim {
  readonly text: string;
  readonly holds: boolean;
  /** What was found, in words. */
  readonly found: string;
}

export function claim(text: string, holds: boolean, found: string): Claim {
  return { text, holds, found };
}

export function units(amount: number): string {
  return formatAmount(BigInt(amount), UNIT);
}

export function count(calls: readonly Call[], outcome: Outcome): number {
  return calls.filter((call) => outcomeOf(call) === outcome).length;
}

/** So many of one outcome and of another, and none of any third. */
export function counted(
  text: string,
  calls: readonly Call[],
  expected: Partial<Record<Outcome, number>>,
): Claim {
  const found = new Map<Outcome, number>();
  for (const call of calls) {
    found.set(outcomeOf(call), (found.get(outcomeOf(call)) ?? 0) + 1);
  }
  const outcomes = new Set([...found.keys(), ...(Object.keys(expected) as Outcome[])]);
  const holds = [...outcomes].every((each) => (found.get(each) ?? 0) === (expected[each] ?? 0));
  return claim(
    text,
    holds,
    [...found].map(([outcome, times]) => `${times} ${OUTCOME_WORDS[outcome].toLowerCase()}`).join(", ") ||
      "none",
  );
}

/** Whether all these requests were answered, and with the same bytes. */
export function sameBytes(text: string, calls: readonly Call[]): Claim {
  const bodies = new Set(calls.map((call) => call.answer?.body));
  const answered = calls.filter((call) => call.answer !== null).length;
  const kinds = bodies.size === 1 ? "one body" : `${bodies.size} different bodies`;
  return claim(text, bodies.size === 1 && answered === calls.length, `${answered} answers, ${kinds}`);
}

export function balanceIs(expected: number, found: { balance: number }): Claim {
  return claim(`The balance is ${units(expected)}`, found.balance === expected, units(found.balance));
}

/** Whether a wallet's entries are so many, numbered from 1 without a gap, and come to its version. */
export function entriesAre(
  text: string,
  expected: number,
  entries: readonly WalletEntry[],
  wallet: { version: number },
): Claim {
  const contiguous = entries.every((entry, index) => entry.version === index + 1);
  const found = `${entries.length} ${entries.length === 1 ? "entry" : "entries"}, ${contiguous ? "numbered without a gap" : "with a gap"}, version ${wallet.version}`;
  return claim(text, entries.length === expected && contiguous && wallet.version === expected, found);
}

/** Whether the answers of the applied requests name each version of a range once. */
export function versionsAre(text: string, calls: readonly Call[], from: number, to: number): Claim {
  const found = calls
    .filter((call) => outcomeOf(call) === "applied")
    .map((call) => versionOf(call) ?? 0)
    .sort((a, b) => a - b);
  const holds = found.length === to - from + 1 && found.every((version, index) => version === from + index);
  const different = new Set(found).size;
  return claim(
    text,
    holds,
    found.length === 0 ? "none" : `${different} different versions, from ${found[0]} to ${found.at(-1)}`,
  );
}
