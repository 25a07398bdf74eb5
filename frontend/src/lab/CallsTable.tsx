import { Table } from "@mantine/core";
import { answerInShort, type Call, OUTCOME_WORDS, outcomeOf, tookMs, versionOf } from "./call";
import classes from "./timeline.module.css";

const NONE = "–";

/** The timeline in words and numbers. */
export function CallsTable({ calls }: { calls: readonly Call[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
    <section className={classes.scroll} tabIndex={0} aria-label="Table of the requests">
      <Table
        verticalSpacing={4}
        horizontalSpacing="sm"
        className={classes.table}
        aria-label="Requests, in the order in which they were made"
      >
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Request</Table.Th>
            <Table.Th>Outcome</Table.Th>
            <Table.Th>Answer</Table.Th>
            <Table.Th>Replay</Table.Th>
            <Table.Th ta="right">Version expected</Table.Th>
            <Table.Th ta="right">Version made</Table.Th>
            <Table.Th ta="right">Sent (ms)</Table.Th>
            <Table.Th ta="right">Took (ms)</Table.Th>
            <Table.Th>Faults that struck</Table.Th>
            <Table.Th>Key</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {calls.map((call) => (
            <Table.Tr key={call.number}>
              <Table.Th scope="row">{call.name}</Table.Th>
              <Table.Td>{OUTCOME_WORDS[outcomeOf(call)]}</Table.Td>
              <Table.Td>{answerInShort(call)}</Table.Td>
              <Table.Td>{replay(call)}</Table.Td>
              <Table.Td ta="right">{call.expectedVersion ?? NONE}</Table.Td>
              <Table.Td ta="right">{versionOf(call) ?? NONE}</Table.Td>
              <Table.Td ta="right">{call.sentAtMs?.toFixed(1) ?? NONE}</Table.Td>
              <Table.Td ta="right">{tookMs(call)?.toFixed(1) ?? NONE}</Table.Td>
              <Table.Td>{call.answer?.fired.join(", ") || NONE}</Table.Td>
              <Table.Td className={classes.mono}>{call.key ?? NONE}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

function replay({ answer }: Call): string {
  return answer === null || answer.replayed === null ? NONE : answer.replayed ? "yes" : "no";
}
