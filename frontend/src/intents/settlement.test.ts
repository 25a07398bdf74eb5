import { describe, expect, it } from "vitest";
import { type Answer, fenced, leftBy, openedId, settlementAfter, settlementOf } from "./settlement";

const transaction = {
  id: "t",
  entries: [{ wallet_id: "w", version: 8, balance_after: 2000 }],
};

function answer(status: number, body: unknown, replayed = false): Answer {
  return { status, body, replayed, retryAfterMs: null };
}

function problem(status: number, slug: string, outcome: string, retry: string, members: object = {}): Answer {
  return answer(status, {
    type: `/problems/${slug}`,
    title: slug,
    status,
    detail: "",
    instance: "/",
    outcome,
    retry,
    ...members,
  });
}

describe("what an answer means", () => {
  it("is applied only for a successful answer with a receipt", () => {
    expect(settlementOf(answer(201, transaction))).toMatchObject({ is: "applied", replayed: false });
    expect(settlementOf(answer(201, transaction, true))).toMatchObject({ is: "applied", replayed: true });
    expect(settlementOf(answer(200, null))).toMatchObject({ is: "again", unknown: true });
  });

  it("follows the problem's outcome and retry, whatever the status", () => {
    expect(settlementOf(problem(409, "version-conflict", "not_applied", "reread"))).toMatchObject({
      is: "conflict",
    });
    expect(settlementOf(problem(409, "contention", "not_applied", "same_key"))).toMatchObject({
      is: "again",
      unknown: false,
    });
    expect(settlementOf(problem(422, "insufficient-funds", "rejected", "new_key"))).toMatchObject({
      is: "rejected",
    });
    expect(settlementOf(problem(422, "idempotency-key-fenced", "not_applied", "new_key"))).toMatchObject({
      is: "rejected",
    });
    expect(settlementOf(problem(404, "wallet-not-found", "not_applied", "never"))).toMatchObject({
      is: "refused",
    });
    expect(settlementOf(problem(503, "database-unavailable", "unknown", "same_key"))).toMatchObject({
      is: "again",
      unknown: true,
    });
    expect(settlementOf(problem(504, "outcome-unknown", "unknown", "same_key"))).toMatchObject({
      is: "again",
      unknown: true,
    });
  });

  it("is unknown where nothing came back, or not the service's words", () => {
    expect(settlementOf({ lost: "network" })).toMatchObject({ is: "again", unknown: true });
    expect(settlementOf({ lost: "time" })).toMatchObject({ is: "again", unknown: true });
    expect(settlementOf(answer(502, null))).toMatchObject({ is: "again", unknown: true });
    expect(settlementOf(answer(403, { error: "blocked by a proxy" }))).toMatchObject({
      is: "again",
      unknown: true,
    });
  });

  it("leaves an earlier attempt unknown that a refusal says nothing about", () => {
    const refused = settlementOf(problem(401, "unauthenticated", "not_applied", "never"));
    expect(settlementAfter(false, refused)).toMatchObject({ is: "refused" });
    expect(settlementAfter(true, refused)).toMatchObject({ is: "again", unknown: true });
    const rejected = settlementOf(problem(422, "wallet-frozen", "rejected", "new_key"));
    expect(settlementAfter(true, rejected)).toMatchObject({ is: "rejected" });
  });
});

describe("what a fence found", () => {
  it("is what was decided, or that nothing ever will be", () => {
    const applied = { key: "k", outcome: "applied", transaction } as never;
    expect(fenced({ key: "k", outcome: "fenced" })).toEqual({ is: "fenced" });
    expect(fenced(applied)).toMatchObject({ is: "applied", replayed: true });
    expect(fenced({ key: "k", outcome: "applied" })).toBeNull();
    expect(fenced({ key: "k", outcome: "rejected" })).toBeNull();
  });
});

describe("a receipt", () => {
  it("says what it left in each wallet it touched", () => {
    expect(leftBy(transaction as never, "w")).toEqual({ balance: 2000, version: 8 });
    expect(leftBy(transaction as never, "other")).toBeNull();
  });

  it("names the wallet that was opened, in either form", () => {
    expect(openedId(transaction as never)).toBe("w");
    expect(openedId({ id: "new" } as never)).toBe("new");
  });
});
