import { Anchor, Drawer, Skeleton, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useLocation } from "wouter";
import { transactionQuery } from "../api/reads";
import type { Transaction, Wallet } from "../api/shapes";
import { Id } from "../ui/Id";
import { Money } from "../ui/Money";
import { ReadProblem } from "../ui/ReadProblem";
import { When } from "../ui/When";
import { NOTE, shortId, transactionTitle } from "./labels";
import { ReverseButton } from "./ReverseButton";

interface Props {
  wallet: Wallet;
  transactionId: string | null;
}

/** A transaction beside the wallet it touched: what it moved, what it did to each wallet, and its reversal. */
export function TransactionDrawer({ wallet, transactionId }: Props) {
  const [, navigate] = useLocation();
  const close = () => navigate(`/wallets/${wallet.id}`);
  const { data, error } = useQuery({
    ...transactionQuery(transactionId ?? ""),
    enabled: transactionId !== null,
  });
  return (
    <Drawer
      opened={transactionId !== null}
      onClose={close}
      title={data ? transactionTitle(data) : "Transaction"}
    >
      <Stack>
        <ReadProblem error={error} stale={data !== undefined} />
        {data ? (
          <>
            <Facts transaction={data} />
            <ReverseButton wallet={wallet} transaction={data} onDone={close} />
          </>
        ) : (
          !error && <Skeleton height={200} />
        )}
      </Stack>
    </Drawer>
  );
}

function Facts({ transaction }: { transaction: Transaction }) {
  const currency = transaction.postings[0]?.currency;
  const { [NOTE]: note, ...metadata } = transaction.metadata;
  return (
    <>
      {note && <Text>{note}</Text>}
      <div>
        <Text size="sm" c="dimmed">
          <When at={transaction.created_at} />
        </Text>
        <Id value={transaction.id} of="transaction id" />
      </div>
      {transaction.postings.length > 0 && (
        <section>
          <Title order={3} size="h5" mb={4}>
            What moved
          </Title>
          <Table verticalSpacing={4} horizontalSpacing={0} withRowBorders={false}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>From</Table.Th>
                <Table.Th>To</Table.Th>
                <Table.Th ta="right">Amount</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {transaction.postings.map((posting, index) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a receipt never changes, and its postings have no name
                <Table.Tr key={index}>
                  <Table.Td>
                    <End id={posting.source} />
                  </Table.Td>
                  <Table.Td>
                    <End id={posting.destination} />
                  </Table.Td>
                  <Table.Td ta="right">
                    <Money minor={posting.amount} currency={posting.currency} fw={600} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </section>
      )}
      <section>
        <Title order={3} size="h5" mb={4}>
          What it did
        </Title>
        <Entries transaction={transaction} currency={currency} />
      </section>
      <section>
        <Title order={3} size="h5" mb={4}>
          Idempotency key
        </Title>
        <Id value={transaction.idempotency_key} of="key" />
      </section>
      {transaction.reverses && (
        <Text size="sm">
          It reverses transaction <Id value={transaction.reverses} of="id of the reversed transaction" />
        </Text>
      )}
      {Object.entries(metadata).map(([name, value]) => (
        <Text key={name} size="sm">
          <Text span c="dimmed" inherit>
            {name}:
          </Text>{" "}
          {value}
        </Text>
      ))}
    </>
  );
}

function Entries({ transaction, currency }: { transaction: Transaction; currency: string | undefined }) {
  return (
    <Table verticalSpacing={4} horizontalSpacing={0} withRowBorders={false}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Wallet</Table.Th>
          <Table.Th ta="right">Change</Table.Th>
          <Table.Th ta="right">Balance after</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {transaction.entries.map((entry) => (
          <Table.Tr key={entry.wallet_id}>
            <Table.Td>
              <End id={entry.wallet_id} />
              <Text span size="xs" c="dimmed">
                {" "}
                version {entry.version}
              </Text>
            </Table.Td>
            <Table.Td ta="right">
              {currency ? <Money minor={entry.change} currency={currency} signed /> : "–"}
            </Table.Td>
            <Table.Td ta="right">
              {currency ? <Money minor={entry.balance_after} currency={currency} /> : "–"}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

/** One end of a movement: a wallet, or the outside world. */
function End({ id }: { id: string | null }) {
  return id === null ? (
    <Text span c="dimmed">
      outside
    </Text>
  ) : (
    <Anchor component={Link} href={`/wallets/${id}`} title={id} size="sm">
      {shortId(id)}
    </Anchor>
  );
}
