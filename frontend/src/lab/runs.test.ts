import { describe, expect, it } from "vitest";
import type { WalletVerification } from "../api/shapes";
import { claim } from "./claims";
import { verdictOf } from "./runs";

const proof = (ok: boolean) => ({ wallet: "w", verification: { ok } as WalletVerification });
const good = claim("It is so", true, "yes");
const bad = claim("It is so", false, "no");

describe("a verdict", () => {
  it("is that it holds if every claim holds and every wallet is proved", () => {
    expect(verdictOf([good, good], [proof(true)])).toBe("holds");
  });

  it.each([
    ["one claim does not hold", [good, bad], [proof(true)]],
    ["a wallet is not proved", [good], [proof(true), proof(false)]],
    ["nothing was claimed", [], [proof(true)]],
    ["nothing was proved", [good], []],
  ])("is that it does not if %s", (_, claims, proofs) => {
    expect(verdictOf(claims, proofs)).toBe("broken");
  });
});
