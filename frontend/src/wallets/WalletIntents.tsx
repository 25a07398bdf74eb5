import { Alert, Anchor, Stack } from "@mantine/core";
import { Clock } from "lucide-react";
import { Link } from "wouter";
import type { Wallet } from "../api/shapes";
import { useOpenIntents, useTrackedOf } from "../intents/context";
import { IntentCard } from "../intents/IntentCard";
import { isOpen } from "../intents/writer";
import classes from "./wallet.module.css";

/** What is under way with a wallet, and what became of the last write. */
export function WalletIntents({ wallet }: { wallet: Wallet }) {
  const cards = useTrackedOf(wallet.id).map((tracked) => {
    const { intent } = tracked;
    if (intent.wallets[0] === wallet.id) {
      return <IntentCard key={intent.key} tracked={tracked} wallet={wallet} />;
    }
    return isOpen(tracked) ? (
      <Alert key={intent.key} color="blue" icon={<Clock />} title={`Under way elsewhere: ${intent.title}`}>
        It touches this wallet too, and is decided{" "}
        <Anchor component={Link} href={`/wallets/${intent.wallets[0]}`} inherit underline="always">
          on the page of the other one
        </Anchor>
        .
      </Alert>
    ) : null;
  });
  // There from the start, so that screen readers tell what comes into it.
  return (
    <Stack gap="sm" aria-live="polite" className={classes.intents}>
      {cards}
    </Stack>
  );
}

/** Why nothing may be written to these wallets just now: one write at a time for each. */
export function useWhyBusy(...wallets: (string | null | undefined)[]): string | null {
  const open = useOpenIntents().find(({ intent }) => intent.wallets.some((each) => wallets.includes(each)));
  return open === undefined ? null : `First has to be settled: ${open.intent.title}`;
}
