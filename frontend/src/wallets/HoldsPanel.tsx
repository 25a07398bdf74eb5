import { Modal, Skeleton, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { holdsQuery } from "../api/reads";
import type { Hold, Wallet } from "../api/shapes";
import { useWriter } from "../intents/context";
import { ActionButton } from "../ui/ActionButton";
import { Money } from "../ui/Money";
import { Pager, usePages } from "../ui/Pager";
import { ReadProblem } from "../ui/ReadProblem";
import { When } from "../ui/When";
import { CaptureForm } from "./CaptureForm";
import { releaseDraft } from "./drafts";
import { HoldBadge, shortId } from "./labels";
import { whyNotCapture, whyNotRelease } from "./rules";
import { useWhyBusy } from "./WalletIntents";
import classes from "./wallet.module.css";
import table from "./wallets.module.css";

/** What is set aside, and was; with capture and release. */
export function HoldsPanel({ wallet }: { wallet: Wallet }) {
  const pages = usePages();
  const { data, error } = useQuery(holdsQuery(wallet, pages.cursor));
  const [capturing, setCapturing] = useState<Hold | null>(null);
  const close = () => setCapturing(null);
  return (
    <>
      <ReadProblem error={error} stale={data !== undefined} />
      {data === undefined ? (
        <Skeleton height={120} m="md" />
      ) : data.items.length === 0 ? (
        <Text className={classes.empty}>Nothing has been set aside.</Text>
      ) : (
        <Table verticalSpacing="xs" horizontalSpacing="md" className={table.table}>
          <Table.Caption className={table.caption}>Holds, newest first</Table.Caption>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Hold</Table.Th>
              <Table.Th ta="right">Amount</Table.Th>
              <Table.Th ta="right">Captured</Table.Th>
              <Table.Th ta="right">Remaining</Table.Th>
              <Table.Th>Expires</Table.Th>
              <Table.Th ta="right">What can be done</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {data.items.map((hold) => (
              <Row key={hold.id} hold={hold} wallet={wallet} onCapture={() => setCapturing(hold)} />
            ))}
          </Table.Tbody>
        </Table>
      )}
      {data && <Pager pages={pages} nextCursor={data.next_cursor} of="holds" />}
      <Modal opened={capturing !== null} onClose={close} title="Capture the hold">
        {capturing && <CaptureForm wallet={wallet} hold={capturing} onDone={close} />}
      </Modal>
    </>
  );
}

function Row({ hold, wallet, onCapture }: { hold: Hold; wallet: Wallet; onCapture: () => void }) {
  const writer = useWriter();
  const busy = useWhyBusy(wallet.id, hold.destination);
  const { currency } = wallet;
  return (
    <Table.Tr>
      <Table.Td className={table.lead}>
        <HoldBadge status={hold.status} />
        <Text size="xs" c="dimmed" title={hold.id}>
          {shortId(hold.id)}
          {hold.destination && ` into ${shortId(hold.destination)}`} · <When at={hold.created_at} />
        </Text>
      </Table.Td>
      <Table.Td ta="right" data-label="Amount">
        <Money minor={hold.amount} currency={currency} fw={600} />
      </Table.Td>
      <Table.Td ta="right" data-label="Captured">
        <Money minor={hold.captured} currency={currency} c={hold.captured === 0 ? "dimmed" : undefined} />
      </Table.Td>
      <Table.Td ta="right" data-label="Remaining">
        <Money minor={hold.remaining} currency={currency} c={hold.remaining === 0 ? "dimmed" : undefined} />
      </Table.Td>
      <Table.Td data-label="Expires">
        <Text span size="sm" c="dimmed">
          {hold.expires_at === null ? "never" : <When at={hold.expires_at} />}
        </Text>
      </Table.Td>
      <Table.Td>
        {hold.status === "active" && (
          <div className={classes.holdActions}>
            <ActionButton
              size="xs"
              variant="light"
              whyNot={busy ?? whyNotCapture(wallet, hold)}
              onClick={onCapture}
            >
              Capture
            </ActionButton>
            <ActionButton
              size="xs"
              variant="default"
              whyNot={busy ?? whyNotRelease(wallet, hold)}
              onClick={() => writer.submit(releaseDraft(wallet, hold))}
            >
              Release
            </ActionButton>
          </div>
        )}
      </Table.Td>
    </Table.Tr>
  );
}
