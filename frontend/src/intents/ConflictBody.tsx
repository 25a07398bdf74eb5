import { Button, Group, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Problem } from "../api/problem";
import { entriesQuery } from "../api/reads";
import type { Wallet } from "../api/shapes";
import { ActionButton } from "../ui/ActionButton";
import { Money } from "../ui/Money";
import { kindLabel } from "../wallets/labels";
import { after, sumsOf, whyNotChange, whyNotOut } from "../wallets/rules";
import { useWriter } from "./context";
import classes from "./intents.module.css";
import type { Tracked } from "./writer";

const ENTRIES_SHOWN_MAX = 5;

interface Props {
  tracked: Tracked;
  /** The wallet as it has been read again; null where it is not on its own page. */
  wallet: Wallet | null;
  problem: Problem;
}

/** What has changed since the decision, and what the same decision would do now. */
export function ConflictBody({ tracked, wallet, problem }: Props) {
  const writer = useWriter();
  const { intent } = tracked;
  const { guard } = intent;
  const current = problem.members.current_version;
  // Decided again only on what is at least as new as what the conflict was about.
  const fresh =
    wallet !== null && guard?.wallet === wallet.id && wallet.version >= Number(current) ? wallet : null;
  const whyNot = fresh === null ? "The wallet is being read again" : whyNotAgain(tracked, fresh);
  return (
    <>
      <Text size="sm">
        You decided on version {guard?.version}, and somebody else has written to the wallet since. Nothing of
        yours has happened.
      </Text>
      {fresh && <Difference tracked={tracked} wallet={fresh} />}
      <Group gap="xs">
        <ActionButton
          size="xs"
          whyNot={whyNot}
          onClick={() => fresh && writer.decideAgain(intent.key, fresh)}
        >
          {fresh ? `${intent.title}, on version ${fresh.version}` : intent.title}
        </ActionButton>
        <Button size="xs" variant="default" onClick={() => writer.dismiss(intent.key)}>
          Leave it
        </Button>
      </Group>
    </>
  );
}

function whyNotAgain({ intent: { effect } }: Tracked, wallet: Wallet): string | null {
  if (effect === null) {
    return null;
  }
  const change = { change: BigInt(effect.change), heldChange: BigInt(effect.heldChange) };
  const out = effect.change < 0 || effect.heldChange > 0;
  return (out ? whyNotOut(wallet) : null) ?? whyNotChange(wallet, change);
}

function Difference({ tracked: { intent }, wallet }: { tracked: Tracked; wallet: Wallet }) {
  const { guard, effect } = intent;
  const since = wallet.version - (guard?.version ?? wallet.version);
  const { data } = useQuery(entriesQuery(wallet.id, wallet.version, undefined));
  const entries = data?.items.filter((entry) => guard !== null && entry.version > guard.version) ?? [];
  const shown = entries.slice(0, ENTRIES_SHOWN_MAX);
  if (guard === null) {
    return null;
  }
  const sums = sumsOf(wallet);
  const then =
    effect && after(sums, { change: BigInt(effect.change), heldChange: BigInt(effect.heldChange) });
  return (
    <Table
      layout="auto"
      withRowBorders={false}
      verticalSpacing={2}
      horizontalSpacing={0}
      aria-label="What has changed"
    >
      <Table.Tbody>
        <Table.Tr>
          <Table.Th scope="row" className={classes.name}>
            Balance
          </Table.Th>
          <Table.Td>
            <Money minor={guard.balance} currency={wallet.currency} /> →{" "}
            <Money minor={sums.balance} currency={wallet.currency} fw={700} />
            {then && then.balance !== sums.balance && (
              <>
                , and with yours <Money minor={then.balance} currency={wallet.currency} fw={700} />
              </>
            )}
          </Table.Td>
        </Table.Tr>
        {BigInt(guard.held) !== sums.held && (
          <Table.Tr>
            <Table.Th scope="row" className={classes.name}>
              Held
            </Table.Th>
            <Table.Td>
              <Money minor={guard.held} currency={wallet.currency} /> →{" "}
              <Money minor={sums.held} currency={wallet.currency} fw={700} />
            </Table.Td>
          </Table.Tr>
        )}
        {guard.status !== wallet.status && (
          <Table.Tr>
            <Table.Th scope="row" className={classes.name}>
              Status
            </Table.Th>
            <Table.Td>
              {guard.status} → <b>{wallet.status}</b>
            </Table.Td>
          </Table.Tr>
        )}
        {shown.map((entry) => (
          <Table.Tr key={entry.version}>
            <Table.Th scope="row" className={classes.name}>
              Version {entry.version}
            </Table.Th>
            <Table.Td>
              {kindLabel(entry.kind, entry.change)}{" "}
              {entry.change !== 0 && <Money minor={entry.change} currency={wallet.currency} signed />}
            </Table.Td>
          </Table.Tr>
        ))}
        {since > shown.length && (
          <Table.Tr>
            <Table.Th scope="row" className={classes.name}>
              Before
            </Table.Th>
            <Table.Td>{since - shown.length} more changes</Table.Td>
          </Table.Tr>
        )}
      </Table.Tbody>
    </Table>
  );
}
