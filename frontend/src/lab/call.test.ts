import { describe, expect, it } from "vitest";
import type { Problem } from "../api/problem";
import { answerOf, type Call, outcomeOf } from "./call";
import { counted, sameBytes, versionsAre } from "./claims";

const nothing: Call = {
  number: 1,
  name: "Try 1",
  method: "POST",
  path: "/v1/wallets/w/credits",
  key: "k",
  expectedVersion: null,
  faults: null,
  askedAtMs: 0,
  sentAtMs: 1,
  endedAtMs: null,
  answer: null,
  isLost: false,
};

function answered(status: number, body: unknown, headers: Record<string, string> = {}) {
  return answerOf(new Response(JSON.stringify(body), { status, headers }));
}

function problem(status: number, slug: string, outcome: Problem["outcome"], retry: Problem["retry"]) {
  return answered(status, { type: `/problems/${slug}`, title: slug, status, outcome, retry });
}

async function applied(version: number, replayed = false): Promise<Call> {
  const headers = { "Idempotent-Replayed": String(replayed) };
  return { ...nothing, answer: await answered(201, { id: "t", entries: [{ version }] }, headers) };
}

describe("what became of a request", () => {
  it("is unknown if nothing came back, and open until then", () => {
    expect(outcomeOf(nothing)).toBe("waiting");
    expect(outcomeOf({ ...nothing, isLost: true })).toBe("unknown");
  });

  it("is what the answer says", async () => {
    expect(outcomeOf(await applied(2))).toBe("applied");
    expect(outcomeOf(await applied(2, true))).toBe("replayed");
    const cases = [
      [await problem(409, "version-conflict", "not_applied", "reread"), "conflict"],
      [await problem(422, "insufficient-funds", "rejected", "new_key"), "rejected"],
      [await problem(422, "idempotency-key-fenced", "not_applied", "new_key"), "fenced"],
      [await problem(503, "overloaded", "not_applied", "same_key"), "refused"],
      [await problem(504, "outcome-unknown", "unknown", "same_key"), "unknown"],
      [await answered(502, "a proxy's page"), "unknown"],
    ] as const;
    for (const [answer, outcome] of cases) {
      expect(outcomeOf({ ...nothing, answer })).toBe(outcome);
    }
  });

  it("is what a fence found", async () => {
    const fence = { ...nothing, path: "/v1/fences" };
    expect(outcomeOf({ ...fence, answer: await answered(200, { key: "k", outcome: "fenced" }) })).toBe(
      "fenced",
    );
    expect(outcomeOf({ ...fence, answer: await answered(200, { key: "k", outcome: "applied" }) })).toBe(
      "replayed",
    );
  });

  it("is read for a look-up that finds nothing, and unknown for one that fails", async () => {
    const lookUp = { ...nothing, method: "GET", path: "/v1/idempotency-keys" };
    const missing = await problem(404, "not-found", "not_applied", "never");
    const failed = await problem(503, "database-unavailable", "not_applied", "same_key");
    expect(outcomeOf({ ...lookUp, answer: missing })).toBe("read");
    expect(outcomeOf({ ...lookUp, answer: failed })).toBe("unknown");
  });

  it("includes which faults struck", async () => {
    const answer = await answered(201, {}, { "Wallet-Lab-Fired": "cache=down, before-commit=delay" });
    expect(answer.fired).toEqual(["cache=down", "before-commit=delay"]);
  });
});

describe("a claim", () => {
  it("about outcomes counts those that nobody expected too", async () => {
    const lost = { ...nothing, isLost: true };
    const calls = [await applied(2), await applied(2, true), lost];
    expect(counted("", calls, { applied: 1, replayed: 1 })).toMatchObject({ holds: false });
    expect(counted("", calls, { applied: 1, replayed: 1, unknown: 1 })).toMatchObject({ holds: true });
    expect(counted("", calls.slice(0, 1), { applied: 1, replayed: 1 })).toMatchObject({ holds: false });
  });

  it("about bytes does not hold for one that is different, or not there", async () => {
    const [one, other] = [await applied(2), await applied(3)];
    expect(sameBytes("", [one, one])).toMatchObject({ holds: true });
    expect(sameBytes("", [one, other])).toMatchObject({ holds: false });
    expect(sameBytes("", [one, { ...nothing, isLost: true }])).toMatchObject({ holds: false });
    expect(sameBytes("", [{ ...nothing, isLost: true }])).toMatchObject({ holds: false });
  });

  it("about versions does not hold with a gap or a double", async () => {
    const calls = await Promise.all([3, 2, 4].map((version) => applied(version)));
    expect(versionsAre("", calls, 2, 4)).toMatchObject({ holds: true });
    expect(versionsAre("", calls, 2, 5)).toMatchObject({ holds: false });
    expect(versionsAre("", [...calls.slice(0, 2), ...calls.slice(0, 1)], 2, 4)).toMatchObject({
      holds: false,
    });
  });
});
