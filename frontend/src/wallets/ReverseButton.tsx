import { Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { transactionsQuery } from "../api/reads";
import type { Transaction, Wallet } from "../api/shapes";
import { useWriter } from "../intents/context";
import { ActionButton } from "../ui/ActionButton";
import { reverseDraft } from "./drafts";
import { Preview } from "./Preview";
import { type WhyNot, whyNotChange, whyNotIn, whyNotOut, whyNotReverse } from "./rules";
import { useWhyBusy } from "./WalletIntents";

interface Props {
  wallet: Wallet;
  transaction: Transaction;
  onDone: () => void;
}

/** Moves back what a transaction moved, after showing what that does to the wallet whose page this is. */
export function ReverseButton({ wallet, transaction, onDone }: Props) {
  const writer = useWriter();
  const busy = useWhyBusy(wallet.id, ...transaction.entries.map((each) => each.wallet_id));
  const { data } = useQuery(transactionsQuery(wallet.id, wallet.version, "reversal"));
  const reversed = data?.items.some((each) => each.reverses === transaction.id) ?? false;
  const entry = transaction.entries.find((each) => each.wallet_id === wallet.id);
  const change = entry && { change: -BigInt(entry.change), heldChange: 0n };
  const impossible = whyNotReverse(transaction.kind, reversed);
  const refused: WhyNot =
    impossible ??
    whyNotIn(wallet) ??
    (change && change.change < 0n ? whyNotOut(wallet) : null) ??
    (change ? whyNotChange(wallet, change) : null);
  const submit = () => {
    if (writer.submit(reverseDraft(wallet, transaction)) !== null) {
      onDone();
    }
  };
  return (
    <Stack gap="xs">
      {change && impossible === null && <Preview wallet={wallet} change={refused ? null : change} />}
      <ActionButton variant="default" whyNot={busy ?? refused} onClick={submit}>
        Reverse this transaction
      </ActionButton>
      {refused && (
        <Text size="sm" c="dimmed">
          {refused}.
        </Text>
      )}
    </Stack>
  );
}
