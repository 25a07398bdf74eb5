import { Anchor, Skeleton, Table, Text } from "@mantine/core";
import { Link } from "wouter";
import type { Wallet } from "../api/shapes";
import { Money } from "../ui/Money";
import { When } from "../ui/When";
import { StatusBadge, shortId, titleOf } from "./labels";
import { sumsOf } from "./rules";
import classes from "./wallets.module.css";

/** Wallets in a table, which folds into cards where the page is narrow. Undefined: they are on their way. */
export function WalletsTable({ wallets }: { wallets: readonly Wallet[] | undefined }) {
  return (
    <Table highlightOnHover verticalSpacing="sm" horizontalSpacing="md" className={classes.table}>
      <Table.Caption className={classes.caption}>Wallets, newest first</Table.Caption>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Wallet</Table.Th>
          <Table.Th>Status</Table.Th>
          <Table.Th ta="right">Balance</Table.Th>
          <Table.Th ta="right">Held</Table.Th>
          <Table.Th ta="right">Available</Table.Th>
          <Table.Th>Last changed</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {wallets === undefined
          ? ["first", "second", "third"].map((name) => (
              <Table.Tr key={name}>
                <Table.Td colSpan={6}>
                  <Skeleton height={24} />
                </Table.Td>
              </Table.Tr>
            ))
          : wallets.map((wallet) => <Row key={wallet.id} wallet={wallet} />)}
      </Table.Tbody>
    </Table>
  );
}

function Row({ wallet }: { wallet: Wallet }) {
  const { balance, held, available } = sumsOf(wallet);
  return (
    <Table.Tr className={classes.row}>
      <Table.Td className={classes.lead}>
        <Anchor component={Link} href={`/wallets/${wallet.id}`} fw={600} className={classes.cover}>
          {titleOf(wallet)}
        </Anchor>
        <Text size="xs" c="dimmed" title={wallet.id}>
          {wallet.currency} · {shortId(wallet.id)} · version {wallet.version}
        </Text>
      </Table.Td>
      <Table.Td>
        <StatusBadge status={wallet.status} />
      </Table.Td>
      <Table.Td ta="right" data-label="Balance">
        <Money minor={balance} currency={wallet.currency} fw={600} />
      </Table.Td>
      <Table.Td ta="right" data-label="Held" data-none={held === 0n || undefined}>
        <Money minor={held} currency={wallet.currency} c={held === 0n ? "dimmed" : undefined} />
      </Table.Td>
      <Table.Td ta="right" data-label="Available">
        <Money minor={available} currency={wallet.currency} />
      </Table.Td>
      <Table.Td data-label="Last changed" data-none>
        <Text span size="sm" c="dimmed">
          <When at={wallet.updated_at} />
        </Text>
      </Table.Td>
    </Table.Tr>
  );
}
