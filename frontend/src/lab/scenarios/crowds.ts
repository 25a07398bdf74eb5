import { newId } from "../../api/id";
import type { Bench } from "../bench";
import { type Call, isToBeSentAgain, outcomeOf } from "../call";
import { balanceIs, claim, count, counted, entriesAre, sameBytes, units, versionsAre } from "../claims";
import { whole } from "../params";
import { scenario } from "../scenario";

const amount = whole("Amount", { min: 1, max: 1_000_000, initial: 250, unit: "LAB" });

const ATTEMPTS_MAX = 10;
const ATTEMPT_MS = 50;

/** A list of that many. */
function times<T>(length: number, make: (number: number) => T): T[] {
  return Array.from({ length }, (_, index) => make(index + 1));
}

/**
 * Send a request until it is judged. A service that has too much to do, or too many writers at one wallet, turns it
 * away and says that nothing has happened; then it is for the client to send it again, with the same key.
 */
async function insist(
  bench: Bench,
  name: string,
  send: (name: string, key: string) => Promise<Call>,
): Promise<Call> {
  const key = newId();
  let call = await send(name, key);
  for (let n = 1; n <= ATTEMPTS_MAX && outcomeOf(call) === "refused" && isToBeSentAgain(call); n++) {
    await bench.sleep(ATTEMPT_MS * n);
    call = await send(`${name} again`, key);
  }
  return call;
}

export const retryStorm = scenario({
  id: "retry-storm",
  title: "Retry storm",
  story: "One credit is sent many times over at once, each time with the same idempotency key.",
  promise: "It takes effect once, and every request gets the same answer, byte for byte.",
  needsLab: false,
  specs: { requests: whole("Requests", { min: 2, max: 100, initial: 24 }), amount },
  async run(bench, { requests, amount }) {
    const { id } = await bench.open();
    const key = newId();
    const calls = await Promise.all(times(requests, (n) => bench.credit(`Try ${n}`, id, amount, { key })));
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    return [
      counted(`One request was applied, and ${requests - 1} were answered with it again`, calls, {
        applied: 1,
        replayed: requests - 1,
      }),
      sameBytes(`All ${requests} answers are the same, byte for byte`, calls),
      entriesAre("The wallet has two entries: its opening, and one credit", 2, entries, wallet),
      balanceIs(amount, wallet),
    ];
  },
});

export const racers = scenario({
  id: "racers",
  title: "Racers",
  story: "Many requests with keys of their own all decide on the same version of one wallet, at once.",
  promise: "One of them wins with 201. All others are told 409 version-conflict, and did nothing.",
  needsLab: false,
  specs: { requests: whole("Requests", { min: 2, max: 100, initial: 16 }), amount },
  async run(bench, { requests, amount }) {
    const { id, version } = await bench.open();
    const calls = await Promise.all(
      times(requests, (n) => bench.credit(`Racer ${n}`, id, amount, { expectedVersion: version })),
    );
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    const told = calls
      .filter((call) => outcomeOf(call) === "conflict")
      .map(({ answer }) => answer?.problem?.members.current_version);
    return [
      counted(`One request was applied, and ${requests - 1} got a conflict`, calls, {
        applied: 1,
        conflict: requests - 1,
      }),
      claim(
        `Every conflict names the version that the winner made, ${version + 1}`,
        told.every((each) => each === version + 1),
        [...new Set(told)].join(", ") || "none",
      ),
      entriesAre("The wallet has two entries: its opening, and the winner's", 2, entries, wallet),
      balanceIs(amount, wallet),
    ];
  },
});

export const hotWallet = scenario({
  id: "hot-wallet",
  title: "Hot wallet",
  story: "Many credits arrive at one wallet at once. None of them minds which version it has by then.",
  promise: "All of them are applied, each once, and the versions have no gap.",
  needsLab: false,
  specs: { requests: whole("Requests", { min: 2, max: 200, initial: 60 }), amount },
  async run(bench, { requests, amount }) {
    const { id } = await bench.open();
    const calls = await Promise.all(
      times(requests, (n) =>
        insist(bench, `Credit ${n}`, (name, key) => bench.credit(name, id, amount, { key })),
      ),
    );
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    return [
      counted(`All ${requests} were applied`, calls, { applied: requests }),
      versionsAre(`The answers name each version from 2 to ${requests + 1} once`, calls, 2, requests + 1),
      entriesAre(`The wallet has ${requests + 1} entries, without a gap`, requests + 1, entries, wallet),
      balanceIs(requests * amount, wallet),
    ];
  },
});

export const doubleSpend = scenario({
  id: "double-spend",
  title: "Double spend",
  story: "Debits race for what a wallet has, and together they want more than that.",
  promise:
    "As many succeed as the balance pays for, the rest are rejected, and it never goes below its floor.",
  needsLab: false,
  specs: {
    requests: whole("Debits", { min: 2, max: 100, initial: 20 }),
    balance: whole("Balance", { min: 1, max: 1_000_000, initial: 1_000, unit: "LAB" }),
    amount: whole("Each", { min: 1, max: 1_000_000, initial: 150, unit: "LAB" }),
  },
  async run(bench, { requests, balance, amount }) {
    const { id } = await bench.open(balance);
    const calls = await Promise.all(
      times(requests, (n) =>
        insist(bench, `Debit ${n}`, (name, key) => bench.debit(name, id, amount, { key })),
      ),
    );
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    const affordable = Math.min(requests, Math.floor(balance / amount));
    const lowest = Math.min(...entries.map((entry) => entry.balance_after));
    const reasons = new Set(
      calls.filter((call) => outcomeOf(call) === "rejected").map(({ answer }) => answer?.problem?.slug),
    );
    return [
      counted(`${affordable} debits were applied, and ${requests - affordable} rejected`, calls, {
        applied: affordable,
        rejected: requests - affordable,
      }),
      claim(
        "Whatever was rejected was rejected for insufficient-funds",
        count(calls, "rejected") === 0 || (reasons.size === 1 && reasons.has("insufficient-funds")),
        [...reasons].join(", ") || "none was rejected",
      ),
      claim(
        `No entry left less than the floor of ${units(wallet.floor)}`,
        lowest >= wallet.floor,
        `${units(lowest)} at the lowest`,
      ),
      balanceIs(balance - affordable * amount, wallet),
    ];
  },
});
