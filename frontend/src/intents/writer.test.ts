import { onlineManager } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bodyOf } from "./intent";
import type { Answer } from "./settlement";
import { isOpen, RETRIES_MAX, type Writer } from "./writer";
import {
  ACCOUNT,
  applied,
  busy,
  conflict,
  draft,
  lost,
  only,
  refused,
  rejected,
  Script,
  settle,
  stored,
  stubStorage,
  wallet,
  writerOn,
} from "./writer.fixtures";

beforeEach(() => {
  vi.useFakeTimers();
  stubStorage();
});

afterEach(() => {
  onlineManager.setOnline(true);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("an intent", () => {
  it("that is answered is done and forgotten", async () => {
    const script = new Script([applied]);
    const writer = writerOn(script);
    writer.submit(draft);
    await settle();
    expect(only(writer).stage).toMatchObject({ is: "applied", replayed: false });
    expect(script.sent).toHaveLength(1);
    expect(stored()).toEqual([]);
  });

  it("keeps its key through retries", async () => {
    const script = new Script([lost, busy, applied]);
    const writer = writerOn(script);
    writer.submit(draft);
    await settle();
    expect(only(writer).stage.is).toBe("applied");
    expect(new Set(script.sent.map(({ key }) => key)).size).toBe(1);
    expect(script.sent).toHaveLength(3);
  });

  it("is in the journal, as one that may have happened, before it is sent", async () => {
    const seen: unknown[] = [];
    const script = new Script([applied]);
    const send = script.send.bind(script);
    script.send = (intent) => {
      seen.push(JSON.parse(localStorage.getItem(`wallet.intent.${intent.key}`) ?? "null"));
      return send(intent);
    };
    writerOn(script).submit(draft);
    await settle();
    expect(seen).toMatchObject([{ uncertain: true, intent: { account: ACCOUNT, request: draft.request } }]);
  });

  it("shuts its wallets to other writes until it is settled, and others not", async () => {
    const writer = writerOn(new Script([lost]));
    expect(writer.submit(draft)).not.toBeNull();
    expect(writer.submit(draft)).toBeNull();
    expect(writer.submit({ ...draft, wallets: ["other", "w"] })).toBeNull();
    expect(writer.submit({ ...draft, wallets: ["other"] })).not.toBeNull();
    await settle();
    expect(writer.submit(draft)).toBeNull();
  });

  it("that nobody answers is unknown after some retries, and can be asked for again with its key", async () => {
    const script = new Script([lost]);
    const writer = writerOn(script);
    writer.submit(draft);
    await settle();
    expect(only(writer).stage).toMatchObject({ is: "stalled", unknown: true });
    expect(script.sent).toHaveLength(RETRIES_MAX + 1);
    expect(stored()).toHaveLength(1);
    script.send = async () => applied;
    writer.retry(only(writer).intent.key);
    await settle();
    expect(only(writer).stage.is).toBe("applied");
  });

  it("that may have happened cannot be dropped; one that certainly has not can", async () => {
    const unknown = writerOn(new Script([lost]));
    unknown.submit(draft);
    const certain = writerOn(new Script([busy]), "another");
    certain.submit(draft);
    await settle();
    unknown.dismiss(only(unknown).intent.key);
    expect(only(unknown).stage.is).toBe("stalled");
    expect(only(certain).stage).toMatchObject({ is: "stalled", unknown: false });
    certain.dismiss(only(certain).intent.key);
    expect(certain.snapshot()).toEqual([]);
  });

  it("stays unknown when a later attempt is refused, since that says nothing of the earlier one", async () => {
    const writer = writerOn(new Script([lost, refused]));
    writer.submit(draft);
    await settle();
    expect(only(writer).stage).toMatchObject({ is: "stalled", unknown: true });
  });

  it("that is rejected or refused at once is settled, and the next one has another key", async () => {
    const script = new Script([rejected, refused, applied]);
    const writer = writerOn(script);
    for (const expected of ["rejected", "refused", "applied"]) {
      writer.submit(draft);
      await settle();
      expect(only(writer).stage.is).toBe(expected);
      expect(stored()).toEqual([]);
    }
    expect(new Set(script.sent.map(({ key }) => key)).size).toBe(3);
  });
});

describe("a conflict", () => {
  it("waits for a person, and is decided again with the same key on the new version", async () => {
    const script = new Script([conflict, applied]);
    const writer = writerOn(script);
    writer.submit(draft);
    await settle();
    expect(only(writer).stage.is).toBe("conflict");
    expect(script.sent).toHaveLength(1);
    writer.decideAgain(only(writer).intent.key, { ...wallet, version: 9, balance: 1000 });
    await settle();
    expect(only(writer).stage.is).toBe("applied");
    expect(script.sent.map(bodyOf)).toEqual([
      { amount: 500, expected_version: 7 },
      { amount: 500, expected_version: 9 },
    ]);
    expect(script.sent[0]?.key).toBe(script.sent[1]?.key);
  });

  it("survives a reload without being sent", async () => {
    const before = writerOn(new Script([conflict]));
    before.submit(draft);
    await settle();
    const script = new Script([applied]);
    const writer = writerOn(script);
    writer.resume();
    await settle();
    expect(only(writer).stage.is).toBe("conflict");
    expect(script.sent).toEqual([]);
    writer.dismiss(only(writer).intent.key);
    expect(stored()).toEqual([]);
  });
});

describe("after a reload", () => {
  it("what was under way is sent again, with its key and body", async () => {
    const before = new Script([lost]);
    before.send = () => new Promise(() => {});
    const first = writerOn(before);
    const key = first.submit(draft);
    await vi.advanceTimersByTimeAsync(0);
    const script = new Script([{ ...applied, replayed: true } as Answer]);
    const writer = writerOn(script);
    writer.resume();
    expect(isOpen(only(writer))).toBe(true);
    await settle();
    expect(only(writer).stage).toMatchObject({ is: "applied", replayed: true });
    expect(script.sent.map((intent) => [intent.key, bodyOf(intent)])).toEqual([
      [key, { amount: 500, expected_version: 7 }],
    ]);
    expect(stored()).toEqual([]);
  });

  it("nothing is sent on behalf of somebody else", async () => {
    writerOn(new Script([lost])).submit(draft);
    await settle();
    const script = new Script([applied]);
    const writer = writerOn(script, "somebody else");
    writer.resume();
    await settle();
    expect(script.sent).toEqual([]);
    expect(stored()).toHaveLength(1);
  });
});

describe("offline", () => {
  it("nothing is sent until the network is back, and it can be dropped until then", async () => {
    onlineManager.setOnline(false);
    const script = new Script([applied]);
    const writer = writerOn(script);
    writer.submit(draft);
    await settle();
    expect(only(writer).stage).toMatchObject({ is: "sending", paused: true });
    expect(script.sent).toEqual([]);
    writer.dismiss(only(writer).intent.key);
    const key = writer.submit(draft);
    await settle();
    onlineManager.setOnline(true);
    await settle();
    expect(only(writer).stage.is).toBe("applied");
    expect(script.sent.map((intent) => intent.key)).toEqual([key]);
  });
});

describe("a fence", () => {
  async function stalled(script: Script): Promise<Writer> {
    const writer = writerOn(script);
    writer.submit(draft);
    await settle();
    return writer;
  }

  it("makes an unknown intent impossible", async () => {
    const script = new Script([lost]);
    const writer = await stalled(script);
    const { key } = only(writer).intent;
    script.fenceAnswer = {
      status: 200,
      body: { key, outcome: "fenced" },
      replayed: false,
      retryAfterMs: null,
    };
    await writer.fence(key);
    expect(only(writer).stage.is).toBe("fenced");
    expect(script.fenced).toEqual([key]);
    expect(stored()).toEqual([]);
  });

  it("that finds it done says so", async () => {
    const script = new Script([lost]);
    const writer = await stalled(script);
    const { key } = only(writer).intent;
    const body = { key, outcome: "applied", transaction: "body" in applied ? applied.body : null };
    script.fenceAnswer = { status: 200, body, replayed: false, retryAfterMs: null };
    await writer.fence(key);
    expect(only(writer).stage).toMatchObject({ is: "applied", replayed: true });
  });

  it("that nobody answers leaves it unknown", async () => {
    const writer = await stalled(new Script([lost]));
    await writer.fence(only(writer).intent.key);
    expect(only(writer).stage).toMatchObject({ is: "stalled", unknown: true });
    expect(stored()).toHaveLength(1);
  });
});
