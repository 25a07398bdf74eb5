import { Anchor, Skeleton, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { entriesQuery } from "../api/reads";
import type { Wallet, WalletEntry } from "../api/shapes";
import { Money } from "../ui/Money";
import { Pager, usePages } from "../ui/Pager";
import { ReadProblem } from "../ui/ReadProblem";
import { When } from "../ui/When";
import { kindLabel } from "./labels";
import table from "./wallets.module.css";

/** What has happened to a wallet, newest first: one entry for each version. */
export function EntriesPanel({ wallet }: { wallet: Wallet }) {
  const pages = usePages();
  const { data, error } = useQuery(entriesQuery(wallet.id, wallet.version, pages.cursor));
  return (
    <>
      <ReadProblem error={error} stale={data !== undefined} />
      {data === undefined ? (
        <Skeleton height={120} m="md" />
      ) : (
        <Table highlightOnHover verticalSpacing="xs" horizontalSpacing="md" className={table.table}>
          <Table.Caption className={table.caption}>Entries, newest first</Table.Caption>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>What</Table.Th>
              <Table.Th ta="right">Change</Table.Th>
              <Table.Th ta="right">Held</Table.Th>
              <Table.Th ta="right">Balance after</Table.Th>
              <Table.Th>When</Table.Th>
              <Table.Th ta="right">Version</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {data.items.map((entry) => (
              <Row key={entry.version} entry={entry} wallet={wallet} />
            ))}
          </Table.Tbody>
        </Table>
      )}
      {data && <Pager pages={pages} nextCursor={data.next_cursor} of="entries" />}
    </>
  );
}

function Row({ entry, wallet }: { entry: WalletEntry; wallet: Wallet }) {
  const { currency } = wallet;
  return (
    <Table.Tr className={table.row}>
      <Table.Td className={table.lead}>
        <Anchor
          component={Link}
          href={`/wallets/${wallet.id}/transactions/${entry.transaction_id}`}
          fw={550}
          size="sm"
          className={table.cover}
        >
          {kindLabel(entry.kind, entry.change)}
        </Anchor>
      </Table.Td>
      <Table.Td
        ta="right"
        data-label="Change"
        data-place="top-end"
        data-none={entry.change === 0 || undefined}
      >
        {entry.change === 0 ? <None /> : <Money minor={entry.change} currency={currency} signed fw={600} />}
      </Table.Td>
      <Table.Td ta="right" data-label="Held" data-none={entry.held_change === 0 || undefined}>
        {entry.held_change === 0 ? (
          <None />
        ) : (
          <Money minor={entry.held_change} currency={currency} signed c="dimmed" />
        )}
      </Table.Td>
      <Table.Td ta="right" data-label="Balance after" data-place="bottom-end">
        <Money minor={entry.balance_after} currency={currency} />
      </Table.Td>
      <Table.Td data-label="When" data-place="bottom">
        <Text span size="sm" c="dimmed">
          <When at={entry.created_at} />
        </Text>
      </Table.Td>
      <Table.Td ta="right" data-label="Version" data-none>
        <Text span size="sm" c="dimmed">
          {entry.version}
        </Text>
      </Table.Td>
    </Table.Tr>
  );
}

function None() {
  return (
    <Text span c="dimmed" aria-label="none">
      –
    </Text>
  );
}
