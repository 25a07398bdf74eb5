import { type QueryClient, skipToken, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { ReadFailed } from "../api/problem";
import type { WalletVerification } from "../api/shapes";
import { Bench } from "./bench";
import type { Call } from "./call";
import type { Claim } from "./claims";
import type { AnyValues } from "./params";
import type { Scenario } from "./scenario";
import type { LabState } from "./state";

/** How often a run that is under way is drawn anew, in milliseconds. */
const SHOWN_MS = 120;

export interface Proof {
  readonly wallet: string;
  readonly verification: WalletVerification;
}

/** A scenario that is carried out, or was. */
export interface Run {
  readonly scenario: string;
  readonly values: AnyValues;
  /** RFC 3339, by the browser's clock. */
  readonly startedAt: string;
  readonly elapsedMs: number;
  readonly calls: readonly Call[];
  readonly claims: readonly Claim[];
  readonly proofs: readonly Proof[];
  readonly verdict: Verdict;
  /** Why it could not be carried out. */
  readonly failure: string | null;
}

/** `holds` and `broken` are about the service; `failed` and `stopped` say that nothing was found out. */
export type Verdict = "running" | "holds" | "broken" | "failed" | "stopped";

/** Holds only if there is something to hold, and all of it does. */
export function verdictOf(claims: readonly Claim[], proofs: readonly Proof[]): "holds" | "broken" {
  const claimed = claims.length > 0 && claims.every(({ holds }) => holds);
  const proved = proofs.length > 0 && proofs.every(({ verification }) => verification.ok);
  return claimed && proved ? "holds" : "broken";
}

const stops = new Map<string, AbortController>();

/** End a run. What it has sent is with the service. */
export function stopRun(scenario: string): void {
  stops.get(scenario)?.abort();
}

/** Carry a scenario out, on wallets of its own. What it is at is kept in the library's cache, for whoever shows it. */
export async function startRun(
  queries: QueryClient,
  scenario: Scenario,
  values: AnyValues,
  lab: LabState | null,
): Promise<Verdict> {
  stopRun(scenario.id);
  const stop = new AbortController();
  stops.set(scenario.id, stop);
  let run: Run = {
    scenario: scenario.id,
    values,
    startedAt: new Date().toISOString(),
    elapsedMs: 0,
    calls: [],
    claims: [],
    proofs: [],
    verdict: "running",
    failure: null,
  };
  const bench = new Bench(scenario.title, stop.signal, (calls) => {
    run = { ...run, calls };
  });
  const show = (change: Partial<Run>) => {
    run = { ...run, elapsedMs: bench.now(), ...change };
    // A run that was started meanwhile has the place.
    if (stops.get(scenario.id) === stop) {
      queries.setQueryData<Run>(runKey(scenario.id), run);
    }
  };
  show({});
  const shown = setInterval(() => show({}), SHOWN_MS);
  try {
    const claims = await scenario.run(bench, values, lab);
    // The story ends here; proving it takes no place on its timeline.
    const elapsedMs = bench.now();
    const proofs = await Promise.all(
      bench.wallets.map(async (wallet) => ({ wallet, verification: await bench.proof(wallet) })),
    );
    show({ claims, proofs, verdict: verdictOf(claims, proofs), elapsedMs });
  } catch (error) {
    show(stop.signal.aborted ? { verdict: "stopped" } : { verdict: "failed", failure: whyFailed(error) });
  } finally {
    clearInterval(shown);
  }
  return run.verdict;
}

/** The last run of a scenario, live; null if there was none since signing in. */
export function useRun(scenario: string): Run | null {
  const { data } = useQuery<Run>({
    queryKey: runKey(scenario),
    queryFn: skipToken,
    gcTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });
  return data ?? null;
}

export function useStartRun(
  scenario: Scenario,
): (values: AnyValues, lab: LabState | null) => Promise<Verdict> {
  const queries = useQueryClient();
  return useCallback((values, lab) => startRun(queries, scenario, values, lab), [queries, scenario]);
}

function runKey(scenario: string) {
  return ["lab", "run", scenario];
}

function whyFailed(error: unknown): string {
  if (error instanceof ReadFailed) {
    return error.problem?.detail || error.message;
  }
  return error instanceof TypeError ? "The service does not answer" : String(error);
}
