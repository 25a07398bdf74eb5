import { Code, Drawer, Stack, Table } from "@mantine/core";
import { Id } from "../ui/Id";
import { answerInShort, type Call, OUTCOME_WORDS, outcomeOf, tookMs, versionOf } from "./call";
import classes from "./timeline.module.css";

/** All about one request of a run. */
export function CallDrawer({ call, onClose }: { call: Call | null; onClose: () => void }) {
  return (
    <Drawer opened={call !== null} onClose={onClose} title={call?.name}>
      {call && <Facts call={call} />}
    </Drawer>
  );
}

function Facts({ call }: { call: Call }) {
  const { answer } = call;
  const rows: [string, string | null][] = [
    ["Request", `${call.method} ${call.path}`],
    ["Outcome", OUTCOME_WORDS[outcomeOf(call)]],
    ["Answer", answerInShort(call)],
    ["Idempotent-Replayed", answer?.replayed == null ? null : String(answer.replayed)],
    ["Version expected", call.expectedVersion?.toString() ?? null],
    ["Version made", versionOf(call)?.toString() ?? null],
    ["Sent at", call.sentAtMs === null ? null : `${call.sentAtMs.toFixed(1)} ms`],
    ["Took", tookMs(call) === null ? null : `${tookMs(call)?.toFixed(1)} ms`],
    ["Wallet-Lab-Fault", call.faults],
    ["Wallet-Lab-Fired", answer?.fired.join(", ") || null],
  ];
  return (
    <Stack>
      <Table layout="auto" verticalSpacing={4} horizontalSpacing={0} withRowBorders={false}>
        <Table.Tbody>
          {rows
            .filter(([, value]) => value !== null)
            .map(([name, value]) => (
              <Table.Tr key={name}>
                <Table.Th scope="row" className={classes.fact}>
                  {name}
                </Table.Th>
                <Table.Td className={classes.value}>{value}</Table.Td>
              </Table.Tr>
            ))}
        </Table.Tbody>
      </Table>
      {call.key !== null && <Id value={call.key} of="key" />}
      {answer !== null && (
        <Code block className={classes.body}>
          {indented(answer.body)}
        </Code>
      )}
    </Stack>
  );
}

function indented(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
