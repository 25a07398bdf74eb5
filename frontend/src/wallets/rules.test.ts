import { describe, expect, it } from "vitest";
import type { Hold, Wallet } from "../api/shapes";
import {
  after,
  sumsOf,
  whyNotCapture,
  whyNotCeiling,
  whyNotChange,
  whyNotClose,
  whyNotFloor,
  whyNotIn,
  whyNotOut,
  whyNotRelease,
  whyNotReverse,
} from "./rules";

function wallet(members: Partial<Wallet> = {}): Wallet {
  return {
    id: "w",
    currency: "EUR",
    balance: 1500,
    held: 200,
    floor: 0,
    ceiling: null,
    status: "active",
    ...members,
  } as Wallet;
}

const hold = { status: "active", remaining: 200 } as Hold;
const credit = (change: bigint) => ({ change, heldChange: 0n });

describe("sums", () => {
  it("take the floor and what is held from what is available", () => {
    expect(sumsOf(wallet({ floor: -1000 })).available).toBe(2300n);
  });

  it("stay exact where a number would not", () => {
    const largest = Number.MAX_SAFE_INTEGER;
    expect(sumsOf(wallet({ balance: largest, held: 0, floor: -largest })).available).toBe(
      2n * BigInt(largest),
    );
  });

  it("after a change add up", () => {
    const sums = after(sumsOf(wallet()), { change: -100n, heldChange: -200n });
    expect(sums).toMatchObject({ balance: 1400n, held: 0n, available: 1400n });
  });
});

describe("what would be refused", () => {
  it("for the state of the wallet", () => {
    expect(whyNotIn(wallet())).toBeNull();
    expect(whyNotIn(wallet({ status: "frozen" }))).toBeNull();
    expect(whyNotIn(wallet({ status: "closed" }))).toMatch(/closed/);
    expect(whyNotOut(wallet())).toBeNull();
    expect(whyNotOut(wallet({ status: "frozen" }))).toMatch(/frozen/);
    expect(whyNotOut(wallet({ status: "closed" }))).toMatch(/closed/);
    expect(whyNotOut(wallet({ balance: 200 }))).toBe("Nothing is available");
  });

  it("for the amount", () => {
    expect(whyNotChange(wallet(), credit(-1300n))).toBeNull();
    expect(whyNotChange(wallet(), credit(-1301n))).toBe("Only €13.00 is available");
    expect(whyNotChange(wallet(), { change: 0n, heldChange: 1301n })).toBe("Only €13.00 is available");
    expect(whyNotChange(wallet({ ceiling: 2000 }), credit(500n))).toBeNull();
    expect(whyNotChange(wallet({ ceiling: 2000 }), credit(501n))).toBe("The wallet may hold €20.00 at most");
    expect(whyNotChange(wallet(), credit(BigInt(Number.MAX_SAFE_INTEGER)))).toMatch(/larger than/);
  });

  it("never for a credit to a wallet that is overdrawn", () => {
    expect(whyNotChange(wallet({ balance: -500, held: 0, floor: -400 }), credit(10n))).toBeNull();
  });

  it("for holds that are over, and captures from a frozen wallet", () => {
    expect(whyNotRelease(wallet({ status: "frozen" }), hold)).toBeNull();
    expect(whyNotCapture(wallet({ status: "frozen" }), hold)).toMatch(/frozen/);
    expect(whyNotCapture(wallet(), { ...hold, status: "expired" })).toBe("The hold is expired");
  });

  it("for closing and limits that the balance breaks", () => {
    expect(whyNotClose(wallet({ balance: 0, held: 0 }))).toBeNull();
    expect(whyNotClose(wallet({ held: 0 }))).toMatch(/balance of zero/);
    expect(whyNotClose(wallet())).toMatch(/€2.00 is held/);
    expect(whyNotFloor(wallet({ balance: -500, held: 0, floor: -500 }), -400n)).toMatch(/overdrawn/);
    expect(whyNotCeiling(wallet(), 1499n)).toMatch(/€15.00/);
    expect(whyNotCeiling(wallet(), null)).toBeNull();
  });

  it("for what cannot be reversed, or not again", () => {
    expect(whyNotReverse("post", false)).toBeNull();
    expect(whyNotReverse("capture", false)).toBeNull();
    expect(whyNotReverse("post", true)).toMatch(/already/);
    expect(whyNotReverse("hold", false)).toMatch(/Only/);
  });
});
