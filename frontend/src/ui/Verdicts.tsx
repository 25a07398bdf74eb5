import { List, Text } from "@mantine/core";
import { CircleCheck, CircleX } from "lucide-react";
import classes from "./ui.module.css";

export interface Verdict {
  readonly text: string;
  readonly holds: boolean;
  /** What was found, where that is worth a line. */
  readonly note: string | null;
}

/** Statements, and whether each of them holds. */
export function Verdicts({ verdicts }: { verdicts: readonly Verdict[] }) {
  return (
    <List listStyleType="none" spacing={6} size="sm" classNames={{ itemWrapper: classes.verdict }}>
      {verdicts.map(({ text, holds, note }) => (
        <List.Item
          key={text}
          icon={
            holds ? (
              <CircleCheck size={16} className={classes.holds} aria-label="Holds" />
            ) : (
              <CircleX size={16} className={classes.fails} aria-label="Does not hold" />
            )
          }
        >
          {text}
          {note !== null && (
            <Text size="xs" className={holds ? undefined : classes.fails} {...(holds && { c: "dimmed" })}>
              {note}
            </Text>
          )}
        </List.Item>
      ))}
    </List>
  );
}
