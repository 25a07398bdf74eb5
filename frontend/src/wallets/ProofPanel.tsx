import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { ShieldCheck, ShieldX } from "lucide-react";
import { verificationQuery } from "../api/reads";
import type { Wallet } from "../api/shapes";
import { Id } from "../ui/Id";
import { ReadProblem } from "../ui/ReadProblem";
import { Checks } from "./Checks";
import classes from "./wallet.module.css";

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
            <Checks checks={data.checks} />
          </>
        )}
      </Stack>
    </Stack>
  );
}
