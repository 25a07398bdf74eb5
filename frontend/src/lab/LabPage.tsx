import { Alert, Code, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { FlaskConical, FlaskConicalOff, ListChecks } from "lucide-react";
import { useState } from "react";
import { ActionButton } from "../ui/ActionButton";
import { ReadProblem } from "../ui/ReadProblem";
import { CONNECTIONS_MAX } from "./bench";
import { startRun } from "./runs";
import { ScenarioCard } from "./ScenarioCard";
import { type Scenario, valuesFor, whyNotRun } from "./scenario";
import { SCENARIOS } from "./scenarios";
import { cacheFailure } from "./scenarios/failures";
import { type LabState, labQuery } from "./state";

/** Where failure can be watched: each scenario runs against this very service. */
export default function LabPage() {
  const { data: lab, error } = useQuery(labQuery);
  return (
    <Stack gap="lg">
      <Stack gap={4}>
        <Title order={1}>Failure lab</Title>
        <Text c="dimmed" maw="46rem">
          Watch what becomes of money when things go wrong. Each scenario opens a wallet of its own, does its
          worst to this very service, and then asks the ledger whether the promise still holds.
        </Text>
      </Stack>
      <ReadProblem error={error} stale={lab !== undefined} />
      {lab === undefined ? !error && <Skeleton height={320} /> : <Scenarios lab={lab} />}
    </Stack>
  );
}

function Scenarios({ lab }: { lab: LabState | null }) {
  return (
    <>
      {lab === null && <LabOff />}
      <RunAll lab={lab} />
      {SCENARIOS.map((scenario, index) => (
        <ScenarioCard key={scenario.id} scenario={scenario} number={index + 1} lab={lab}>
          {scenario === cacheFailure && lab?.cache === false && <NoCache />}
        </ScenarioCard>
      ))}
      <Text size="sm" c="dimmed">
        Lab wallets count in LAB, a unit of its own, so no run touches money. A browser has {CONNECTIONS_MAX}{" "}
        connections to one server, so as many requests are under way at once; a thin line shows how long the
        others waited in the browser for theirs.
      </Text>
    </>
  );
}

function LabOff() {
  return (
    <Alert color="yellow" icon={<FlaskConicalOff />} title="The failure lab is off on this service">
      <Text size="sm">
        It takes no requests to fail on purpose, so only the scenarios that need no fault can be run. To
        switch it on, start the service with <Code>WALLET_LAB=on</Code>, for instance{" "}
        <Code>WALLET_LAB=on make run</Code>. Do that where nobody else's money is.
      </Text>
    </Alert>
  );
}

function NoCache() {
  return (
    <Alert color="gray" icon={<FlaskConical />} title="This service runs without Redis">
      <Text size="sm">
        Its replays come straight from the database, and that is what can be run here: no cache at all. To
        have a cache that fails, start the service with one:{" "}
        <Code>WALLET_REDIS_URL=redis://127.0.0.1:6379/0 make run</Code>
      </Text>
    </Alert>
  );
}

/** Runs everything that can be run here with its first parameters, one after the other. */
function RunAll({ lab }: { lab: LabState | null }) {
  const queries = useQueryClient();
  const [at, setAt] = useState<Scenario | null>(null);
  const [held, setHeld] = useState<{ held: number; of: number } | null>(null);
  const runnable = SCENARIOS.map((scenario) => ({
    scenario,
    values: valuesFor(scenario, lab),
  })).filter(({ scenario, values }) => whyNotRun(scenario, values, lab) === null);
  const go = async () => {
    let count = 0;
    for (const { scenario, values } of runnable) {
      setAt(scenario);
      count += (await startRun(queries, scenario, values, lab)) === "holds" ? 1 : 0;
      setHeld({ held: count, of: runnable.length });
    }
    setAt(null);
  };
  return (
    <Group gap="md">
      <ActionButton
        variant="light"
        whyNot={at === null ? null : "They are being run"}
        leftSection={<ListChecks size={16} aria-hidden />}
        onClick={() => void go()}
      >
        Run all {runnable.length}
      </ActionButton>
      <Text size="sm" role="status" fw={550}>
        {at !== null ? `Running ${at.title}…` : held && `${held.held} of ${held.of} promises hold`}
      </Text>
    </Group>
  );
}
