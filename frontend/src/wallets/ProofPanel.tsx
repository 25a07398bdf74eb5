import { Alert, Button, Group, List, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { CircleCheck, CircleX, ShieldCheck, ShieldX } from "lucide-react";
import { verificationQuery } from "../api/reads";
import type { Wallet, WalletCheck } from "../api/shapes";
import { Id } from "../ui/Id";
import { ReadProblem } from "../ui/ReadProblem";
import classes from "./wallet.module.css";

/** The checks of one wallet; the others are about all wallets of a tenant. */
const WORDS: Partial<Record<WalletCheck["name"], string>> = {
  "versions-contiguous": "Every version from the first to the last has its entry",
  "running-balances": "Each balance is the one before it and the change",
  "hash-chain": "Each entry's hash covers it and all before it",
  "entries-match-receipts": "Every entry is what its transaction says it is",
  "wallet-matches-last-entry": "The wallet holds what its last entry left",
  "wallet-matches-its-changes": "Its status and limits are those it was last given",
  "holds-match-history": "What is held is what its holds reserve",
  "limits-kept": "No balance ever crossed a limit",
};

/** Has the wallet's whole history worked out again by the service, and shows how each check came out. */
export function ProofPanel({ wallet }: { wallet: Wallet }) {
  const { data, error, isFetching, refetch } = useQuery(verificationQuery(wallet.id));
  return (
    <Stack className={classes.proof}>
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          Every number and hash of the wallet's history is worked out again, from its first entry on.
        </Text>
        <Button
          leftSection={<ShieldCheck size={16} aria-hidden />}
          loading={isFetching}
          onClick={() => void refetch()}
        >
          Prove this wallet
        </Button>
      </Group>
      <ReadProblem error={error} stale={data !== undefined} />
      <Stack aria-live="polite">
        {data && (
          <>
            <Alert
              color={data.ok ? "teal" : "red"}
              icon={data.ok ? <ShieldCheck /> : <ShieldX />}
              title={data.ok ? "The wallet is proved" : "The wallet's history does not hold"}
            >
              {data.entries} {data.entries === 1 ? "entry" : "entries"}
              {data.entries < wallet.version && "; the wallet has changed since"}. The hash of the last one
              stands for all of them:
              <Id value={data.head_hash} of="hash" />
            </Alert>
            <List listStyleType="none" spacing="xs">
              {data.checks.map((check) => (
                <Outcome key={check.name} check={check} />
              ))}
            </List>
          </>
        )}
      </Stack>
    </Stack>
  );
}

function Outcome({ check }: { check: WalletCheck }) {
  return (
    <List.Item
      icon={
        check.ok ? (
          <CircleCheck size={18} className={classes.holds} aria-label="Holds" />
        ) : (
          <CircleX size={18} className={classes.fails} aria-label="Does not hold" />
        )
      }
    >
      {WORDS[check.name] ?? check.name}
      {!check.ok && (
        <Text size="sm" className={classes.fails}>
          {check.detail}
        </Text>
      )}
    </List.Item>
  );
}
