import { Anchor, Group, Paper, Skeleton, Stack, Tabs, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { ArrowLeft } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { Link } from "wouter";
import { useWalletQuery } from "../api/reads";
import type { Wallet } from "../api/shapes";
import { Id } from "../ui/Id";
import { ReadProblem } from "../ui/ReadProblem";
import { Actions } from "./Actions";
import { BalancePanel } from "./BalancePanel";
import { EntriesPanel } from "./EntriesPanel";
import { HoldsPanel } from "./HoldsPanel";
import { StatusBadge, titleOf } from "./labels";
import { ProofPanel } from "./ProofPanel";
import { TransactionDrawer } from "./TransactionDrawer";
import { WalletIntents } from "./WalletIntents";
import classes from "./wallet.module.css";

// The chart library is as large as all of the page beside it, so it comes after the figures.
const BalanceChart = lazy(() => import("./BalanceChart"));

interface Props {
  id: string;
  /** The transaction that is looked at, if one is. */
  transactionId: string | null;
}

/** One wallet, live. */
export function WalletPage({ id, transactionId }: Props) {
  const { data, error } = useQuery(useWalletQuery(id));
  const wallet = data?.wallet;
  useTitle(wallet);
  return (
    <Stack gap="lg">
      <Stack gap={6}>
        <Anchor component={Link} href="/" size="sm" className={classes.back}>
          <ArrowLeft size={14} aria-hidden /> Wallets
        </Anchor>
        <Group gap="sm" align="center">
          <Title order={1}>{wallet ? titleOf(wallet) : "Wallet"}</Title>
          {wallet && <StatusBadge status={wallet.status} />}
        </Group>
        <Id value={id} of="wallet id" />
      </Stack>
      <ReadProblem error={error} stale={wallet !== undefined} />
      {wallet ? <Live wallet={wallet} transactionId={transactionId} /> : !error && <Skeleton height={160} />}
    </Stack>
  );
}

function Live({ wallet, transactionId }: { wallet: Wallet; transactionId: string | null }) {
  const [tab, setTab] = useState<string | null>("entries");
  return (
    <>
      <WalletIntents wallet={wallet} />
      <Paper withBorder className={classes.panel}>
        <BalancePanel wallet={wallet} />
        <Actions wallet={wallet} />
      </Paper>
      <Paper withBorder component="section" aria-label="Balance over time" className={classes.panel}>
        <Title order={2} size="h4" mb="xs">
          Balance over time
        </Title>
        <Suspense fallback={<Skeleton height={252} />}>
          <BalanceChart wallet={wallet} />
        </Suspense>
      </Paper>
      <Paper withBorder className={classes.lists}>
        <Tabs value={tab} onChange={setTab} keepMounted={false}>
          <Tabs.List>
            <Tabs.Tab value="entries">Entries</Tabs.Tab>
            <Tabs.Tab value="holds">Holds</Tabs.Tab>
            <Tabs.Tab value="proof">Proof</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="entries">
            <EntriesPanel wallet={wallet} />
          </Tabs.Panel>
          <Tabs.Panel value="holds">
            <HoldsPanel wallet={wallet} />
          </Tabs.Panel>
          <Tabs.Panel value="proof">
            <ProofPanel wallet={wallet} />
          </Tabs.Panel>
        </Tabs>
      </Paper>
      <Text size="sm" c="dimmed">
        Changes made elsewhere appear here within two seconds.
      </Text>
      <TransactionDrawer wallet={wallet} transactionId={transactionId} />
    </>
  );
}

function useTitle(wallet: Wallet | undefined) {
  const title = wallet === undefined ? "Wallet" : titleOf(wallet);
  useEffect(() => {
    const before = document.title;
    document.title = `${title} · Wallets`;
    return () => {
      document.title = before;
    };
  }, [title]);
}
