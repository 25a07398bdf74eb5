import { Alert, Anchor } from "@mantine/core";
import { Clock } from "lucide-react";
import { Link } from "wouter";
import type { Wallet } from "../api/shapes";
import { useTrackedOf } from "../intents/context";
import { IntentCard } from "../intents/IntentCard";
import { isOpen } from "../intents/writer";

/** What is under way with a wallet, and what became of the last write. */
export function WalletIntents({ wallet }: { wallet: Wallet }) {
  return useTrackedOf(wallet.id).map((tracked) => {
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
}

/** Why nothing may be written to a wallet just now: one write at a time. */
export function useWhyBusy(walletId: string): string | null {
  const open = useTrackedOf(walletId).find(isOpen);
  return open === undefined ? null : `First has to be settled: ${open.intent.title}`;
}
