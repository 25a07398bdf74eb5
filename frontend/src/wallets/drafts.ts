import type { components } from "../api/schema";
import type { Hold, Transaction, Wallet, WalletStatus } from "../api/shapes";
import { type Draft, guardOf, type Operation } from "../intents/intent";
import { formatAmount } from "../money/amount";

type Bodies = components["schemas"];
type Metadata = Record<string, string>;

/** What people may want to do, as writes of the contract. Amounts are in minor units and at most 2^53 - 1. */

export function openDraft(body: Bodies["OpenWalletBody"]): Draft {
  return {
    operation: "open",
    title: `Open a wallet in ${body.currency}`,
    wallets: [],
    currency: body.currency,
    effect: null,
    request: { method: "post", path: "/v1/wallets", body: { ...body } },
    guard: null,
  };
}

export function creditDraft(wallet: Wallet, amount: bigint, metadata: Metadata): Draft {
  const body = { amount: Number(amount), metadata } satisfies Bodies["AmountBody"];
  return {
    ...ofWallet(wallet, "credit", `Credit ${written(amount, wallet)}`, "credits", body),
    effect: { change: Number(amount), heldChange: 0 },
  };
}

export function debitDraft(wallet: Wallet, amount: bigint, metadata: Metadata): Draft {
  const body = { amount: Number(amount), metadata } satisfies Bodies["AmountBody"];
  return {
    ...ofWallet(wallet, "debit", `Debit ${written(amount, wallet)}`, "debits", body),
    effect: { change: -Number(amount), heldChange: 0 },
  };
}

export function transferDraft(
  wallet: Wallet,
  destination: string,
  amount: bigint,
  metadata: Metadata,
): Draft {
  const body = {
    postings: [{ source: wallet.id, destination, amount: Number(amount) }],
    metadata,
  } satisfies Bodies["PostBody"];
  return {
    operation: "transfer",
    title: `Transfer ${written(amount, wallet)}`,
    wallets: [wallet.id, destination],
    currency: wallet.currency,
    effect: { change: -Number(amount), heldChange: 0 },
    request: { method: "post", path: "/v1/transactions", body },
    guard: guardOf(wallet, "expected_versions"),
  };
}

export function holdDraft(
  wallet: Wallet,
  amount: bigint,
  options: { destination?: string; expires_in?: number; metadata: Metadata },
): Draft {
  const body = { amount: Number(amount), ...options } satisfies Bodies["HoldBody"];
  return {
    ...ofWallet(wallet, "hold", `Hold ${written(amount, wallet)}`, "holds", body),
    effect: { change: 0, heldChange: Number(amount) },
  };
}

export function captureDraft(wallet: Wallet, hold: Hold, amount: bigint, final: boolean): Draft {
  const body = { amount: Number(amount), final } satisfies Bodies["CaptureBody"];
  return ofHold(wallet, hold, "capture", `Capture ${written(amount, wallet)}`, body);
}

export function releaseDraft(wallet: Wallet, hold: Hold): Draft {
  const body = {} satisfies Bodies["ReleaseBody"];
  return ofHold(wallet, hold, "release", `Release ${written(BigInt(hold.remaining), wallet)}`, body);
}

export function reverseDraft(wallet: Wallet, transaction: Transaction): Draft {
  const moved = transaction.postings
    .map((each) => formatAmount(BigInt(each.amount), each.currency))
    .join(", ");
  return {
    operation: "reverse",
    title: `Reverse ${moved}`,
    // The wallet on whose page it is reversed comes first: that page tells what becomes of it.
    wallets: [...new Set([wallet.id, ...transaction.entries.map((entry) => entry.wallet_id)])],
    currency: wallet.currency,
    effect: null,
    request: { method: "post", path: `/v1/transactions/${transaction.id}/reversal`, body: {} },
    guard: null,
  };
}

export function statusDraft(wallet: Wallet, status: WalletStatus): Draft {
  const title = { active: "Unfreeze the wallet", frozen: "Freeze the wallet", closed: "Close the wallet" }[
    status
  ];
  return changeDraft(wallet, title, { status });
}

export function changeDraft(wallet: Wallet, title: string, body: Bodies["ChangeWalletBody"]): Draft {
  return {
    operation: "change",
    title,
    wallets: [wallet.id],
    currency: wallet.currency,
    effect: null,
    request: { method: "patch", path: `/v1/wallets/${wallet.id}`, body: { ...body } },
    guard: guardOf(wallet),
  };
}

function ofWallet(
  wallet: Wallet,
  operation: Operation,
  title: string,
  collection: "credits" | "debits" | "holds",
  body: Record<string, unknown>,
): Omit<Draft, "effect"> {
  return {
    operation,
    title,
    wallets: [wallet.id],
    currency: wallet.currency,
    request: { method: "post", path: `/v1/wallets/${wallet.id}/${collection}`, body },
    guard: guardOf(wallet),
  };
}

function ofHold(
  wallet: Wallet,
  hold: Hold,
  operation: "capture" | "release",
  title: string,
  body: Record<string, unknown>,
): Draft {
  return {
    operation,
    title,
    wallets: [
      hold.wallet_id,
      ...(hold.destination === null || operation === "release" ? [] : [hold.destination]),
    ],
    currency: wallet.currency,
    effect: null,
    request: { method: "post", path: `/v1/holds/${hold.id}/${operation}`, body },
    guard: null,
  };
}

function written(amount: bigint, { currency }: Wallet): string {
  return formatAmount(amount, currency);
}
