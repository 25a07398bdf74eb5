import { Tooltip, UnstyledButton, VisuallyHidden } from "@mantine/core";
import { useRovingIndex } from "@mantine/hooks";
import { useState } from "react";
import { answerInShort, type Call, OUTCOME_WORDS, outcomeOf, tookMs, versionOf } from "./call";
import { OutcomeIcon } from "./outcomes";
import classes from "./timeline.module.css";

interface Props {
  calls: readonly Call[];
  /** How far the time axis goes, in milliseconds. */
  elapsedMs: number;
  /** Somebody wants to know all about a request. */
  onChoose: (call: Call) => void;
}

/** The narrowest a bar gets, in percent, so that a quick answer can still be seen. */
const WIDTH_MIN = 0.6;

/** One lane for each request: when it was sent, when it was answered, and what became of it. */
export function Timeline({ calls, elapsedMs, onChoose }: Props) {
  const [pointedAt, setPointedAt] = useState<{ lane: HTMLElement; number: number } | null>(null);
  const { getItemProps } = useRovingIndex({ total: calls.length, orientation: "vertical", loop: false });
  const ends = calls.map((call) => call.endedAtMs ?? elapsedMs);
  const end = Math.max(1, ...ends);
  const call = calls[(pointedAt?.number ?? 0) - 1];
  const point = ({ target }: { target: EventTarget }) => {
    const lane = target instanceof Element ? target.closest<HTMLElement>("[data-number]") : null;
    setPointedAt(lane && { lane, number: Number(lane.dataset.number) });
  };
  const away = () => setPointedAt(null);
  return (
    <div className={classes.timeline}>
      <div className={classes.head} aria-hidden>
        <span>Request</span>
        <span className={classes.wide}>Key</span>
        <span className={classes.wide}>Version</span>
        <span className={classes.axis}>
          {ticks(end).map((ms) => (
            <span key={ms} style={{ left: `${(ms / end) * 100}%` }}>
              {inShort(ms)}
            </span>
          ))}
        </span>
        <span>Answer</span>
      </div>
      <ol
        className={classes.lanes}
        aria-label="Requests; the arrow keys move between them"
        onMouseOver={point}
        onFocus={point}
        onMouseLeave={away}
        onBlur={away}
        onScroll={away}
      >
        {calls.map((call, index) => (
          <li key={call.number}>
            <Lane
              call={call}
              end={end}
              elapsedMs={elapsedMs}
              {...getItemProps({ index, onClick: () => onChoose(call) })}
            />
          </li>
        ))}
      </ol>
      {/* One for all lanes: there can be hundreds, drawn anew many times a second. */}
      {call && pointedAt && (
        <Tooltip label={<Hint call={call} />} target={pointedAt.lane} opened floatingStrategy="fixed" />
      )}
    </div>
  );
}

interface LaneProps extends Omit<ReturnType<ReturnType<typeof useRovingIndex>["getItemProps"]>, "ref"> {
  call: Call;
  end: number;
  elapsedMs: number;
  ref: React.RefCallback<HTMLElement>;
}

function Lane({ call, end, elapsedMs, ref, ...item }: LaneProps) {
  const outcome = outcomeOf(call);
  const place = (ms: number) => `${(ms / end) * 100}%`;
  const sentAt = call.sentAtMs ?? call.endedAtMs ?? elapsedMs;
  const endedAt = call.endedAtMs ?? Math.max(elapsedMs, sentAt);
  return (
    <UnstyledButton ref={ref} className={classes.lane} data-number={call.number} {...item}>
      <span className={classes.name}>{call.name}</span>
      <span className={classes.mono}>{call.key === null ? "" : `…${call.key.slice(-6)}`}</span>
      <span className={classes.version}>{versions(call)}</span>
      <span className={classes.track} aria-hidden>
        <span
          className={classes.queue}
          style={{ left: place(call.askedAtMs), width: place(sentAt - call.askedAtMs) }}
        />
        <span
          className={classes.bar}
          data-outcome={outcome}
          style={{
            left: `min(${place(sentAt)}, ${100 - WIDTH_MIN}%)`,
            width: `max(${place(endedAt - sentAt)}, ${WIDTH_MIN}%)`,
          }}
        />
      </span>
      <span className={classes.answer} data-outcome={outcome}>
        <OutcomeIcon outcome={outcome} />
        <VisuallyHidden>{OUTCOME_WORDS[outcome]}</VisuallyHidden>
        {call.answer && <span>{call.answer.status}</span>}
        <span className={classes.slug}>{call.answer ? call.answer.problem?.slug : answerInShort(call)}</span>
      </span>
    </UnstyledButton>
  );
}

function Hint({ call }: { call: Call }) {
  const took = tookMs(call);
  const { answer, faults } = call;
  return (
    <>
      <b>{OUTCOME_WORDS[outcomeOf(call)]}</b>: {answerInShort(call)}
      {took !== null && `, in ${took.toFixed(1)} ms`}
      {answer?.replayed !== null && answer?.replayed !== undefined && (
        <>
          <br />
          Idempotent-Replayed: {String(answer.replayed)}
        </>
      )}
      {faults !== null && (
        <>
          <br />
          Fault: {faults}
          {answer !== null && (answer.fired.length > 0 ? ", which struck" : ", which did not strike")}
        </>
      )}
    </>
  );
}

/** The version that it expected, and the one that it made. */
function versions(call: Call): string {
  const made = versionOf(call);
  const { expectedVersion } = call;
  return [expectedVersion, made].every((each) => each === null)
    ? ""
    : `${expectedVersion ?? ""} → ${made ?? "–"}`.trim();
}

/** Four or so round times from 0 on. */
function ticks(end: number): number[] {
  const power = 10 ** Math.floor(Math.log10(end));
  const step = [0.2, 0.5, 1, 2, 5].map((each) => each * power).find((each) => end / each <= 4) ?? end;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => index * step).filter(
    (ms) => ms / end < 0.93,
  );
}

function inShort(ms: number): string {
  return ms >= 1000 ? `${ms / 1000} s` : `${Math.round(ms * 10) / 10} ms`;
}
