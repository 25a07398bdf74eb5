import { Button, Group, Text } from "@mantine/core";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { useState } from "react";
import classes from "./ui.module.css";

/** Where one is in a list whose pages are found by cursors: the cursors of the pages from the second to this one. */
export interface Pages {
  cursor: string | undefined;
  number: number;
  next(cursor: string): void;
  previous(): void;
  /** Back to the first page, for a list that has become another one. */
  restart(): void;
}

export function usePages(): Pages {
  const [cursors, setCursors] = useState<readonly string[]>([]);
  return {
    cursor: cursors.at(-1),
    number: cursors.length + 1,
    next: (cursor) => setCursors([...cursors, cursor]),
    previous: () => setCursors(cursors.slice(0, -1)),
    restart: () => setCursors([]),
  };
}

/** Leafs through a list. Not there for a list of one page. */
export function Pager({ pages, nextCursor, of }: { pages: Pages; nextCursor: string | null; of: string }) {
  if (pages.number === 1 && nextCursor === null) {
    return null;
  }
  return (
    <Group component="nav" aria-label={`Pages of ${of}`} justify="space-between" className={classes.pager}>
      <Button
        variant="default"
        size="xs"
        leftSection={<ChevronLeft size={14} aria-hidden />}
        disabled={pages.number === 1}
        onClick={pages.previous}
      >
        Previous
      </Button>
      <Text size="sm" c="dimmed">
        Page {pages.number}
      </Text>
      <Button
        variant="default"
        size="xs"
        rightSection={<ChevronRight size={14} aria-hidden />}
        disabled={nextCursor === null}
        onClick={() => nextCursor !== null && pages.next(nextCursor)}
      >
        Next
      </Button>
    </Group>
  );
}
