import { Alert, Button, Group, SegmentedControl, Stack, Title } from "@mantine/core";
import { CircleCheck, CircleHelp, CircleX, Download, Wallet } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { Verdicts } from "../ui/Verdicts";
import { Checks } from "../wallets/Checks";
import { CallDrawer } from "./CallDrawer";
import { CallsTable } from "./CallsTable";
import type { Call } from "./call";
import { download } from "./exported";
import classes from "./lab.module.css";
import { Legend } from "./outcomes";
import type { Run } from "./runs";
import type { Scenario } from "./scenario";
import { Timeline } from "./Timeline";

/** What came of a run: its timeline, and once it is over, the proof. */
export function Result({ scenario, run }: { scenario: Scenario; run: Run }) {
  const [view, setView] = useState("timeline");
  const [chosen, setChosen] = useState<Call | null>(null);
  const over = run.verdict !== "running";
  return (
    <Stack gap="md" className={classes.result}>
      {run.calls.length > 0 && (
        <Stack gap="xs">
          <Group justify="space-between" gap="xs">
            <Legend calls={run.calls} />
            <SegmentedControl
              size="xs"
              aria-label="How the requests are shown"
              value={view}
              onChange={setView}
              data={[
                { value: "timeline", label: "Timeline" },
                { value: "table", label: "Table" },
              ]}
            />
          </Group>
          {view === "timeline" ? (
            <Timeline calls={run.calls} elapsedMs={run.elapsedMs} onChoose={setChosen} />
          ) : (
            <CallsTable calls={run.calls} />
          )}
        </Stack>
      )}
      <div aria-live="polite">{over && <Verdict run={run} />}</div>
      {over && (
        <Group gap="xs">
          {run.calls.length > 0 && (
            <Button
              size="xs"
              variant="default"
              leftSection={<Download size={14} aria-hidden />}
              onClick={() => download(scenario, run)}
            >
              Export as JSON
            </Button>
          )}
          {run.proofs.map(({ wallet }) => (
            <Button
              key={wallet}
              size="xs"
              variant="default"
              leftSection={<Wallet size={14} aria-hidden />}
              component={Link}
              href={`/wallets/${wallet}`}
            >
              To the wallet
            </Button>
          ))}
        </Group>
      )}
      <CallDrawer call={chosen} onClose={() => setChosen(null)} />
    </Stack>
  );
}

function Verdict({ run }: { run: Run }) {
  const { verdict, failure, claims, proofs } = run;
  if (verdict === "failed" || verdict === "stopped") {
    return (
      <Alert color="yellow" icon={<CircleHelp />} title="Nothing was found out">
        {verdict === "stopped"
          ? "The run was stopped. What had been sent is with the service."
          : `It could not be carried out: ${failure}.`}
      </Alert>
    );
  }
  const holds = verdict === "holds";
  return (
    <Stack gap="md">
      <Alert
        color={holds ? "teal" : "red"}
        icon={holds ? <CircleCheck /> : <CircleX />}
        title={holds ? "The promise holds" : "The promise does not hold"}
        role={holds ? "status" : "alert"}
      >
        {summary(run)}
      </Alert>
      <div className={classes.proof}>
        <section>
          <Title order={3} size="h5" mb="xs">
            What has to be true, and what the service says
          </Title>
          <Verdicts verdicts={claims.map(({ text, holds, found }) => ({ text, holds, note: found }))} />
        </section>
        {proofs.map(({ wallet, verification }) => (
          <section key={wallet}>
            <Title order={3} size="h5" mb="xs">
              The proof of its wallet
            </Title>
            <Checks checks={verification.checks} />
          </section>
        ))}
      </div>
    </Stack>
  );
}

/** How much was done, and how much of what was said about it holds. */
function summary({ calls, elapsedMs, claims, proofs }: Run): string {
  const checks = proofs.flatMap(({ verification }) => verification.checks);
  const outOf = (results: readonly boolean[]) =>
    results.every(Boolean)
      ? `all ${results.length}`
      : `${results.filter(Boolean).length} of ${results.length}`;
  const done = `${calls.length} requests in ${(elapsedMs / 1000).toFixed(2)} s`;
  const said = `${outOf(claims.map(({ holds }) => holds))} statements hold`;
  return `${done}; ${said}, and ${outOf(checks.map(({ ok }) => ok))} checks of the wallet's history.`;
}
