import { Stack, Text } from "@mantine/core";
import type { WalletStatus } from "../api/shapes";
import { useWriter } from "../intents/context";
import { ActionButton } from "../ui/ActionButton";
import type { FormProps } from "./Actions";
import { statusDraft } from "./drafts";
import { whyNotClose, whyNotIn } from "./rules";
import { useWhyBusy } from "./WalletIntents";

const WORDS: Record<WalletStatus, { what: string; verb: string }> = {
  frozen: {
    what: "Nothing may leave it or be held in it until it is unfrozen. Credits may arrive, and holds may be released.",
    verb: "Freeze",
  },
  active: { what: "Money may leave it again, and be held in it.", verb: "Unfreeze" },
  closed: {
    what: "Nothing ever moves in it again: a closed wallet cannot be opened again.",
    verb: "Close for good",
  },
};

/** Freezes, unfreezes or closes a wallet, once somebody has read what that means. */
export function StatusForm({ wallet, onDone, to }: FormProps & { to: WalletStatus }) {
  const writer = useWriter();
  const busy = useWhyBusy(wallet.id);
  const { what, verb } = WORDS[to];
  const submit = () => {
    if (writer.submit(statusDraft(wallet, to)) !== null) {
      onDone();
    }
  };
  return (
    <Stack>
      <Text>{what}</Text>
      <ActionButton
        color={to === "closed" ? "red" : undefined}
        whyNot={busy ?? (to === "closed" ? whyNotClose(wallet) : whyNotIn(wallet))}
        onClick={submit}
      >
        {verb}
      </ActionButton>
    </Stack>
  );
}
