import { outcomeOf } from "./call";
import type { Run } from "./runs";
import type { Scenario } from "./scenario";

/** A run as a file: everything that was sent and came back, and what it was judged by. No API key is in it. */
export function exported(scenario: Scenario, run: Run): Record<string, unknown> {
  const { values, calls, ...rest } = run;
  return {
    ...rest,
    title: scenario.title,
    promise: scenario.promise,
    parameters: values,
    calls: calls.map((call) => ({ ...call, outcome: outcomeOf(call) })),
  };
}

/** Have the browser save a run. */
export function download(scenario: Scenario, run: Run): void {
  const text = `${JSON.stringify(exported(scenario, run), null, 2)}\n`;
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `${scenario.id}-${run.startedAt.slice(0, 19).replaceAll(":", "")}.json`;
  link.click();
  URL.revokeObjectURL(address);
}
