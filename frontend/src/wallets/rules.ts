import type { Hold, Kind, Wallet } from "../api/shapes";
import { AMOUNT_MAX, formatAmount } from "../money/amount";

/**
 * The service's rules as far as the page can foresee them, in words. The service decides; this only spares people
 * from asking for what it would refuse. Amounts are in minor units.
 */
export type WhyNot = string | null;

/** What a wallet holds, as numbers that also add up beyond what a JSON number carries exactly. */
export interface Sums {
  balance: bigint;
  held: bigint;
  floor: bigint;
  ceiling: bigint | null;
  available: bigint;
}

export function sumsOf(wallet: Wallet): Sums {
  const [balance, held, floor] = [BigInt(wallet.balance), BigInt(wallet.held), BigInt(wallet.floor)];
  const ceiling = wallet.ceiling === null ? null : BigInt(wallet.ceiling);
  return { balance, held, floor, ceiling, available: balance - held - floor };
}

/** What a write does to a wallet. */
export interface Change {
  change: bigint;
  heldChange: bigint;
}

export function after(sums: Sums, { change, heldChange }: Change): Sums {
  const [balance, held] = [sums.balance + change, sums.held + heldChange];
  return { ...sums, balance, held, available: balance - held - sums.floor };
}

/** Why nothing at all may arrive. */
export function whyNotIn(wallet: Wallet): WhyNot {
  return wallet.status === "closed" ? "The wallet is closed: nothing moves any more" : null;
}

/** Why nothing at all may leave, or be held. */
export function whyNotOut(wallet: Wallet): WhyNot {
  if (wallet.status === "frozen") {
    return "The wallet is frozen: nothing may leave it until it is unfrozen";
  }
  return whyNotIn(wallet) ?? (sumsOf(wallet).available > 0n ? null : "Nothing is available");
}

export function whyNotRelease(wallet: Wallet, hold: Hold): WhyNot {
  return whyNotIn(wallet) ?? (hold.status === "active" ? null : `The hold is ${hold.status}`);
}

export function whyNotCapture(wallet: Wallet, hold: Hold): WhyNot {
  return wallet.status === "frozen" ? whyNotOut(wallet) : whyNotRelease(wallet, hold);
}

export function whyNotClose(wallet: Wallet): WhyNot {
  const { balance, held } = sumsOf(wallet);
  if (held > 0n) {
    return `${formatAmount(held, wallet.currency)} is held: capture or release it first`;
  }
  return whyNotIn(wallet) ?? (balance === 0n ? null : "Only a wallet with a balance of zero can be closed");
}

export function whyNotReverse(kind: Kind, reversed: boolean): WhyNot {
  if (reversed) {
    return "It is reversed already, and a transaction is reversed once";
  }
  return kind === "post" || kind === "capture"
    ? null
    : "Only credits, debits, transfers and captures can be reversed";
}

/** Why this change would be refused for its amount. */
export function whyNotChange(wallet: Wallet, { change, heldChange }: Change): WhyNot {
  const sums = sumsOf(wallet);
  const needed = heldChange - change;
  if (needed > 0n && needed > sums.available) {
    const available = sums.available > 0n ? formatAmount(sums.available, wallet.currency) : "Nothing";
    return available === "Nothing" ? "Nothing is available" : `Only ${available} is available`;
  }
  const { balance, held } = after(sums, { change, heldChange });
  if (change > 0n && sums.ceiling !== null && balance > sums.ceiling) {
    return `The wallet may hold ${formatAmount(sums.ceiling, wallet.currency)} at most`;
  }
  return balance > AMOUNT_MAX || balance < -AMOUNT_MAX || held > AMOUNT_MAX
    ? "The balance would be larger than the service can count"
    : null;
}

/** Why these limits would be refused: the balance breaks them already. */
export function whyNotFloor(wallet: Wallet, floor: bigint): WhyNot {
  const { balance, held } = sumsOf(wallet);
  return balance - held < floor ? "The wallet is overdrawn by more than that already" : null;
}

export function whyNotCeiling(wallet: Wallet, ceiling: bigint | null): WhyNot {
  const { balance } = sumsOf(wallet);
  return ceiling !== null && balance > ceiling
    ? `The wallet holds ${formatAmount(balance, wallet.currency)} already`
    : null;
}
