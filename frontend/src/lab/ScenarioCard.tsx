import { ActionIcon, Badge, Button, CopyButton, Group, Paper, Text, Title, Tooltip } from "@mantine/core";
import { Check, CircleCheck, CircleHelp, CircleX, Link2, Play, RotateCcw, Square } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useSearchParams } from "wouter";
import { ActionButton } from "../ui/ActionButton";
import classes from "./lab.module.css";
import { ParamFields, whyNotTyped } from "./ParamFields";
import { type AnyValues, scenarioIn, searchOf } from "./params";
import { Result } from "./Result";
import { type Run, stopRun, useRun, useStartRun } from "./runs";
import { type Scenario, valuesFor, whyNotRun } from "./scenario";
import type { LabState } from "./state";

interface Props {
  scenario: Scenario;
  /** Its place on the page, from 1. */
  number: number;
  lab: LabState | null;
  /** What this card says besides, where this service cannot do all of it. */
  children?: ReactNode;
}

/** One scenario: what happens in it, its parameters, and what came of the last run. */
export function ScenarioCard({ scenario, number, lab, children }: Props) {
  const { id, title, story, promise, specs } = scenario;
  const [link, setLink] = useSearchParams();
  const linked = scenarioIn(link) === id;
  const run = useRun(id);
  const start = useStartRun(scenario);
  const [values, setValues] = useState<AnyValues>(() =>
    linked ? valuesFor(scenario, lab, link) : (run?.values ?? valuesFor(scenario, lab)),
  );
  const card = useRef<HTMLDivElement>(null);
  useScrollTo(card, linked);
  const wrong = whyNotTyped(specs, values);
  const whyNot = wrong ?? whyNotRun(scenario, values, lab);
  const running = run?.verdict === "running";
  const go = () => {
    setLink(searchOf(id, values), { replace: true });
    void start(values, lab);
  };
  return (
    <Paper
      withBorder
      component="article"
      className={classes.card}
      aria-labelledby={`scenario-${id}`}
      ref={card}
      data-linked={linked || undefined}
    >
      <div className={classes.top}>
        <span className={classes.number} aria-hidden>
          {number}
        </span>
        <div className={classes.words}>
          <Group gap="sm">
            <Title order={2} size="h4" id={`scenario-${id}`}>
              {title}
            </Title>
            <RunBadge run={run} />
          </Group>
          <Text size="sm">{story}</Text>
          <Text size="sm" c="dimmed">
            {promise}
          </Text>
        </div>
      </div>
      {children}
      <div className={classes.controls}>
        <ParamFields specs={specs} typed={values} onTyped={setValues} />
        <Group gap="xs" wrap="nowrap" className={classes.buttons}>
          <CopyButton value={`${window.location.origin}/lab?${searchOf(id, values)}`}>
            {({ copied, copy }) => (
              <Tooltip label={copied ? "Copied" : "Copy a link with these parameters"}>
                <ActionIcon
                  variant="default"
                  size="input-xs"
                  aria-label={`Copy a link to ${title}`}
                  disabled={wrong !== null}
                  onClick={copy}
                >
                  {copied ? <Check size={14} aria-hidden /> : <Link2 size={14} aria-hidden />}
                </ActionIcon>
              </Tooltip>
            )}
          </CopyButton>
          {running && (
            <Button
              size="xs"
              variant="default"
              leftSection={<Square size={14} aria-hidden />}
              onClick={() => stopRun(id)}
            >
              Stop
            </Button>
          )}
          <ActionButton
            size="xs"
            whyNot={running ? "It is under way" : whyNot}
            onClick={go}
            leftSection={run ? <RotateCcw size={14} aria-hidden /> : <Play size={14} aria-hidden />}
          >
            {run ? "Run again" : "Run"}
          </ActionButton>
        </Group>
      </div>
      {run && <Result scenario={scenario} run={run} />}
    </Paper>
  );
}

function RunBadge({ run }: { run: Run | null }) {
  switch (run?.verdict) {
    case undefined:
      return null;
    case "running":
      return (
        <Badge color="blue" variant="light" tt="none">
          Running
        </Badge>
      );
    case "holds":
      return (
        <Badge color="teal" variant="light" tt="none" leftSection={<CircleCheck size={12} aria-hidden />}>
          Holds
        </Badge>
      );
    case "broken":
      return (
        <Badge color="red" variant="light" tt="none" leftSection={<CircleX size={12} aria-hidden />}>
          Does not hold
        </Badge>
      );
    default:
      return (
        <Badge color="yellow" variant="light" tt="none" leftSection={<CircleHelp size={12} aria-hidden />}>
          Not found out
        </Badge>
      );
  }
}

/** A link shows what it is about. Once: later the reader is elsewhere. */
function useScrollTo(card: React.RefObject<HTMLElement | null>, linked: boolean) {
  const [first] = useState(linked);
  useEffect(() => {
    if (first) {
      card.current?.scrollIntoView({ block: "start" });
    }
  }, [first, card]);
}
