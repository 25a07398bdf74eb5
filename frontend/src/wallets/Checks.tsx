import type { WalletCheck } from "../api/shapes";
import { Verdicts } from "../ui/Verdicts";

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

/** How each check of a wallet's history came out. */
export function Checks({ checks }: { checks: readonly WalletCheck[] }) {
  return (
    <Verdicts
      verdicts={checks.map(({ name, ok, detail }) => ({
        text: WORDS[name] ?? name,
        holds: ok,
        note: ok ? null : detail,
      }))}
    />
  );
}
