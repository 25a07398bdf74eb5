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
}

/** Pages of the list that `list` names. Where that has changed, one is on the first page of another one. */
export function usePages(list = ""): Pages {
  const [place, setPlace] = useState<{ list: string; cursors: readonly string[] }>({ list, cursors: [] });
  const cursors = place.list === list ? place.cursors : [];
  return {
    cursor: cursors.at(-1),
    number: cursors.length + 1,
    next: (cursor) => setPlace({ list, cursors: [...cursors, cursor] }),
    previous: () => setPlace({ list, cursors: cursors.slice(0, -1) }),
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
