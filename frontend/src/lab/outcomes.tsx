import {
  Ban,
  Check,
  CircleHelp,
  Eye,
  GitCompareArrows,
  Hourglass,
  type LucideIcon,
  Repeat2,
  ShieldBan,
  Undo2,
} from "lucide-react";
import { type Call, OUTCOME_WORDS, type Outcome, outcomeOf } from "./call";
import classes from "./timeline.module.css";

const ICONS: Record<Outcome, LucideIcon> = {
  waiting: Hourglass,
  applied: Check,
  replayed: Repeat2,
  conflict: GitCompareArrows,
  rejected: Ban,
  fenced: ShieldBan,
  refused: Undo2,
  unknown: CircleHelp,
  read: Eye,
};

/** The sign of an outcome, besides its colour and its pattern. */
export function OutcomeIcon({ outcome }: { outcome: Outcome }) {
  const Icon = ICONS[outcome];
  return <Icon size={14} aria-hidden className={classes.icon} data-outcome={outcome} />;
}

/** What the colours and patterns of a timeline mean, and how many there are of each. */
export function Legend({ calls }: { calls: readonly Call[] }) {
  const found = new Map<Outcome, number>();
  for (const call of calls) {
    const outcome = outcomeOf(call);
    found.set(outcome, (found.get(outcome) ?? 0) + 1);
  }
  return (
    <ul className={classes.legend} aria-label="Outcomes">
      {[...found].map(([outcome, times]) => (
        <li key={outcome}>
          <span className={classes.swatch} data-outcome={outcome} aria-hidden />
          <OutcomeIcon outcome={outcome} />
          <span>
            <b>{times}</b> {OUTCOME_WORDS[outcome].toLowerCase()}
          </span>
        </li>
      ))}
    </ul>
  );
}
