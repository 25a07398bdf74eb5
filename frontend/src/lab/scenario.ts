import type { Bench } from "./bench";
import type { Claim } from "./claims";
import { type AnyValues, type Specs, type Values, valuesIn } from "./params";
import type { LabState } from "./state";

interface Story<S extends Specs> {
  /** What links call it. */
  readonly id: string;
  readonly title: string;
  /** What happens, in a sentence or two. */
  readonly story: string;
  /** What must be true afterwards, in words. */
  readonly promise: string;
  readonly specs: S;
  /** Whether it runs where the lab is off. */
  readonly needsLab: boolean;
  /** What to begin with on this service, where the specs' initial values make no sense. */
  initial?(lab: LabState | null): Partial<Values<S>>;
  /** Why it cannot be run with these values; null if it can. */
  whyNot?(values: Values<S>, lab: LabState | null): string | null;
  /** Carry it out, and say what must be true of what came of it. Every claim is about what the service says. */
  run(bench: Bench, values: Values<S>, lab: LabState | null): Promise<Claim[]>;
}

/** A scenario whose parameters are told by its own specs only. */
export type Scenario = Story<Specs>;

/** Checks the scenario against its own parameters; elsewhere they are names and values. */
export function scenario<const S extends Specs>(story: Story<S>): Scenario {
  return story as unknown as Scenario;
}

/** The values that a scenario begins with here, and with those of a link where there is one. */
export function valuesFor(one: Scenario, lab: LabState | null, link = new URLSearchParams()): AnyValues {
  return valuesIn(link, one.specs, one.initial?.(lab) as AnyValues | undefined);
}

/** Why a scenario cannot be run here and now; null if it can. */
export function whyNotRun(one: Scenario, values: AnyValues, lab: LabState | null): string | null {
  if (one.needsLab && lab === null) {
    return "The failure lab is off on this service";
  }
  return one.whyNot?.(values, lab) ?? null;
}
