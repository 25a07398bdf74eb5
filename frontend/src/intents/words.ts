import { type Problem, unitsOf } from "../api/problem";
import { formatAmount } from "../money/amount";

/** What a problem means for the person who wanted something, in their terms and their currency. */
export function inWords(problem: Problem, currency: string): string {
  const units = (member: string) => {
    const value = unitsOf(problem, member);
    return value === null ? "?" : formatAmount(value, currency);
  };
  switch (problem.slug) {
    case "insufficient-funds":
      return `There is not enough money: ${units("available")} is available, and ${units("needed")} is needed.`;
    case "ceiling-exceeded":
      return `The wallet would hold ${units("balance")}, and its ceiling is ${units("ceiling")}.`;
    case "amount-out-of-range":
      return "The balance would be larger than the service can count.";
    case "wallet-frozen":
      return "The wallet is frozen: nothing may leave it or be held in it.";
    case "wallet-closed":
      return "The wallet is closed: nothing moves any more.";
    case "wallet-not-empty":
      return `The wallet is not empty: it holds ${units("balance")}, of which ${units("held")} is held.`;
    case "currency-mismatch":
      return "The two wallets have different currencies.";
    case "hold-not-active":
      return "The hold is not active any more: it was captured, released, or has expired.";
    case "capture-exceeds-hold":
      return `Only ${units("remaining")} of the hold is left.`;
    case "already-reversed":
      return "The transaction was reversed before, and that happens once.";
    case "not-reversible":
      return "A transaction of this kind cannot be reversed.";
    case "idempotency-key-fenced":
      return "Somebody made sure that nothing happens under this key.";
    case "idempotency-key-reused":
      return "The key of this request was used for something else before.";
    case "overloaded":
      return "The service has more to do than it takes on.";
    case "database-unavailable":
      return "The service cannot reach its database.";
    case "contention":
      return "Other writers to the wallet were faster each time.";
    case "rate-limited":
      return "There were too many requests with this API key.";
    case "outcome-unknown":
      return "The service did not get an answer in time.";
    case "internal-error":
      return "The service failed.";
    case "unauthenticated":
      return "The service does not take this API key any more.";
    case "forbidden":
      return "This API key may only read.";
    default:
      return problem.detail || problem.title;
  }
}

/** Why an attempt has to be repeated. No problem: the answer never came. */
export function whyAgain(problem: Problem | null, currency: string): string {
  return problem === null ? "The service did not answer." : inWords(problem, currency);
}
