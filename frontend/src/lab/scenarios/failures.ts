import { newId } from "../../api/id";
import { type Call, decidedIn, isToBeSentAgain, outcomeOf } from "../call";
import { balanceIs, claim, count, counted, entriesAre, sameBytes } from "../claims";
import { choice, whole } from "../params";
import { scenario } from "../scenario";

const amount = whole("Amount", { min: 1, max: 1_000_000, initial: 250, unit: "LAB" });

/** How often the same key asks again after a 504, and how long it waits between, in milliseconds. */
const ASKS_MAX = 20;
const ASK_AGAIN_MS = 400;

export const lostAnswer = scenario({
  id: "lost-answer",
  title: "Lost answer",
  story:
    "A credit is committed, and then the connection drops before the answer. The client cannot know, and sends the same key again.",
  promise: "The credit happened once. The retry gets its answer, marked as a replay.",
  needsLab: true,
  specs: { drops: whole("Answers lost", { min: 1, max: 5, initial: 2 }), amount },
  async run(bench, { drops, amount }) {
    const { id } = await bench.open();
    const key = newId();
    const lost: Call[] = [];
    for (let n = 1; n <= drops; n++) {
      lost.push(await bench.credit(`Try ${n}`, id, amount, { key, faults: "before-answer=drop" }));
    }
    const last = await bench.credit(`Try ${drops + 1}`, id, amount, { key });
    const known = await bench.lookUp("Look-up", key);
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    return [
      counted(`No answer came to the first ${drops === 1 ? "try" : `${drops} tries`}`, lost, {
        unknown: drops,
      }),
      counted("The next one was answered with what had been done: Idempotent-Replayed: true", [last], {
        replayed: 1,
      }),
      remembers("applied", known),
      entriesAre("The wallet has two entries: its opening, and one credit", 2, entries, wallet),
      balanceIs(amount, wallet),
    ];
  },
});

export const slowCommit = scenario({
  id: "slow-commit",
  title: "Slow commit",
  story:
    "The database takes longer to commit than the service waits. It answers 504 outcome-unknown, and leaves the commit alone. Then the same key is sent again.",
  promise: "Sooner or later the same key tells the truth, and the credit happened once.",
  needsLab: true,
  specs: {
    over_ms: whole("Over the limit by", { min: 100, max: 4_000, initial: 700, step: 100, unit: "ms" }),
    amount,
  },
  async run(bench, { over_ms, amount }, lab) {
    const { id } = await bench.open();
    const key = newId();
    const delayMs = (lab?.request_timeout_ms ?? 0) + over_ms;
    const first = await bench.credit("First try", id, amount, {
      key,
      faults: `before-commit=delay:${delayMs}`,
    });
    let last = first;
    for (let n = 1; n <= ASKS_MAX && isToBeSentAgain(last); n++) {
      await bench.sleep(n === 1 ? 0 : ASK_AGAIN_MS);
      last = await bench.credit(`Same key, ${n}`, id, amount, { key });
    }
    const known = await bench.lookUp("Look-up", key);
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    return [
      claim(
        "The first try was answered 504 outcome-unknown",
        first.answer?.status === 504 && first.answer.problem?.slug === "outcome-unknown",
        first.answer === null ? "no answer" : `${first.answer.status} ${first.answer.problem?.slug ?? ""}`,
      ),
      counted("The same key was told in the end what had been done", [last], { replayed: 1 }),
      remembers("applied", known),
      entriesAre("The wallet has two entries: its opening, and one credit", 2, entries, wallet),
      balanceIs(amount, wallet),
    ];
  },
});

export const cacheFailure = scenario({
  id: "cache-failure",
  title: "Cache down, hung or lying",
  story:
    "A credit is made, and then a storm of retries with its key arrives while the replay cache is down, does not answer, or tells lies.",
  promise: "The results are those of a service without any cache: one effect, and the same bytes for all.",
  needsLab: false,
  specs: {
    cache: choice("The cache", "lying", [
      { value: "down", label: "is down" },
      { value: "hung", label: "hangs" },
      { value: "lying", label: "tells lies" },
      { value: "none", label: "is left alone" },
    ]),
    requests: whole("Retries", { min: 2, max: 100, initial: 18 }),
    amount,
  },
  initial: (lab) => (lab?.cache ? {} : { cache: "none" }),
  whyNot({ cache }, lab) {
    if (cache === "none") {
      return null;
    }
    return lab === null
      ? "The failure lab is off on this service"
      : lab.cache
        ? null
        : "This service runs without Redis, so there is no cache to fail";
  },
  async run(bench, { cache, requests, amount }) {
    const { id } = await bench.open();
    const key = newId();
    const first = await bench.credit("First", id, amount, { key });
    const faults = cache === "none" ? null : `cache=${cache}`;
    if (faults !== null) {
      await bench.cacheIsAsked();
    }
    const retries = await Promise.all(
      Array.from({ length: requests }, (_, index) =>
        bench.credit(`Retry ${index + 1}`, id, amount, { key, faults }),
      ),
    );
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    const struck = retries.filter(({ answer }) => answer?.fired.includes(`cache=${cache}`)).length;
    return [
      ...(faults === null
        ? []
        : [claim("The cache did fail while the retries were answered", struck > 0, `for ${struck} retries`)]),
      counted(
        `The first was applied, and ${requests} retries were answered with it again`,
        [first, ...retries],
        {
          applied: 1,
          replayed: requests,
        },
      ),
      sameBytes(`All ${requests + 1} answers are the same, byte for byte`, [first, ...retries]),
      entriesAre("The wallet has two entries: its opening, and one credit", 2, entries, wallet),
      balanceIs(amount, wallet),
    ];
  },
});

export const fence = scenario({
  id: "fence",
  title: "Fence",
  story:
    "A credit is held up on its way. The client gives up on it, and has its key ruled out. Then the late request arrives.",
  promise:
    "The fence has the last word: what it ruled out never happens, and what had happened before it stays done.",
  needsLab: true,
  specs: {
    delay_ms: whole("Held up for", { min: 100, max: 4_000, initial: 900, step: 100, unit: "ms" }),
    patience_ms: whole("Given up after", { min: 0, max: 4_000, initial: 300, step: 100, unit: "ms" }),
    amount,
  },
  whyNot({ delay_ms }, lab) {
    return lab !== null && delay_ms >= lab.request_timeout_ms
      ? `The service waits for ${lab.request_timeout_ms} ms only: hold it up for less`
      : null;
  },
  async run(bench, { delay_ms, patience_ms, amount }) {
    const { id } = await bench.open();
    const key = newId();
    // It is left open only so that the lab sees what becomes of it; its client has stopped listening.
    const held = bench.credit("Held up", id, amount, { key, faults: `before-queue=delay:${delay_ms}` });
    await bench.sleep(patience_ms);
    const fenced = await bench.fence("Fence", key);
    const original = await held;
    const again = await bench.credit("Same key again", id, amount, { key });
    const known = await bench.lookUp("Look-up", key);
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    const word = decidedIn(fenced.answer)?.outcome;
    const inTime = word === "fenced";
    return [
      claim(
        "The fence was told either that the key is ruled out, or that the credit had been applied",
        word === "fenced" || word === "applied",
        word ?? "no answer",
      ),
      inTime
        ? counted("The late request was turned away: idempotency-key-fenced", [original], { fenced: 1 })
        : counted("The request had been faster than the fence, and was applied", [original], { applied: 1 }),
      counted(
        inTime ? "So was the same key afterwards" : "The same key afterwards got that answer again",
        [again],
        inTime ? { fenced: 1 } : { replayed: 1 },
      ),
      remembers(inTime ? "fenced" : "applied", known),
      entriesAre(
        inTime
          ? "The wallet has one entry only: its opening"
          : "The wallet has two entries: its opening, and one credit",
        inTime ? 1 : 2,
        entries,
        wallet,
      ),
      balanceIs(inTime ? 0 : amount, wallet),
    ];
  },
});

export const staleTab = scenario({
  id: "stale-tab",
  title: "Stale tab",
  story:
    "Two tabs show the same version of a wallet, and a person in each of them debits it. The one that is told of a conflict reads again, and decides again with the same key.",
  promise: "Nobody writes over what they have not seen: one conflict, and then both debits, each once.",
  needsLab: false,
  specs: {
    balance: whole("Balance", { min: 2, max: 1_000_000, initial: 1_000, unit: "LAB" }),
    first: whole("Tab A debits", { min: 1, max: 1_000_000, initial: 300, unit: "LAB" }),
    second: whole("Tab B debits", { min: 1, max: 1_000_000, initial: 200, unit: "LAB" }),
  },
  whyNot({ balance, first, second }) {
    return first + second > balance ? "The balance does not pay for both debits" : null;
  },
  async run(bench, { balance, first, second }) {
    const { id, version } = await bench.open(balance);
    const tabs = [
      { name: "Tab A", amount: first, key: newId() },
      { name: "Tab B", amount: second, key: newId() },
    ];
    const calls = await Promise.all(
      tabs.map(({ name, amount, key }) => bench.debit(name, id, amount, { key, expectedVersion: version })),
    );
    const read = await bench.wallet(id);
    const again: Call[] = [];
    for (const [index, { name, amount, key }] of tabs.entries()) {
      const call = calls[index];
      if (call !== undefined && outcomeOf(call) === "conflict") {
        again.push(await bench.debit(`${name} again`, id, amount, { key, expectedVersion: read.version }));
      }
    }
    const [wallet, entries] = [await bench.wallet(id), await bench.entries(id)];
    const loser = calls.find((call) => outcomeOf(call) === "conflict");
    const current = loser?.answer?.problem?.members.current_version;
    return [
      counted("One tab was first, and the other was told of a conflict", calls, { applied: 1, conflict: 1 }),
      claim(
        "The conflict named the version that the tab then read",
        count(calls, "conflict") === 1 && current === read.version,
        `${current ?? "none"}, and version ${read.version} was read`,
      ),
      counted("Decided again on that version with the same key, it was applied", again, { applied: 1 }),
      claim(
        "Both attempts of that tab had the same key",
        again.length === 1 && again[0]?.key === loser?.key,
        again.length === 0
          ? "there was no second attempt"
          : again[0]?.key === loser?.key
            ? "one key"
            : "two keys",
      ),
      entriesAre("The wallet has four entries: opening, credit, and both debits", 4, entries, wallet),
      balanceIs(balance - first - second, wallet),
    ];
  },
});

/** What the look-up of a key must say. */
function remembers(outcome: "applied" | "fenced", call: Call) {
  const found = decidedIn(call.answer)?.outcome ?? (call.answer ? `${call.answer.status}` : "no answer");
  return claim(`The service remembers the key as ${outcome}`, found === outcome, found);
}
