import { describe, expect, it } from "vitest";
import { AMOUNT_MAX, decimalText, editableAmount, formatAmount, parseAmount, parsePositive } from "./amount";
import { digitsOf } from "./currency";

function read(text: string, currency = "EUR", locale = "en-US"): bigint | string {
  const reading = parseAmount(text, currency, locale);
  return "minor" in reading ? reading.minor : reading.wrong;
}

describe("reading an amount", () => {
  it.each([
    ["12", 1200n],
    ["12.5", 1250n],
    ["12.50", 1250n],
    ["0.05", 5n],
    [".5", 50n],
    ["12.", 1200n],
    ["1,234.56", 123456n],
    ["1 234.56", 123456n],
    ["1234567.89", 123456789n],
    ["12,34,567.00", 123456700n],
    ["€ 12.00", 1200n],
    ["12.00 EUR", 1200n],
    ["12.500", 1250n],
    ["0", 0n],
  ])("takes %s for cents, as written in English", (text, minor) => {
    expect(read(text)).toBe(minor);
  });

  it.each([
    ["1.234,56", 123456n],
    ["12,5", 1250n],
    ["1.234", 123400n],
  ])("takes %s as written in German", (text, minor) => {
    expect(read(text, "EUR", "de-DE")).toBe(minor);
  });

  it("takes the point of a numeric keypad where no point groups", () => {
    expect(read("12.50", "EUR", "fr-FR")).toBe(1250n);
    expect(read("1 234,50", "EUR", "fr-FR")).toBe(123450n);
    expect(read("1'234.50", "CHF", "de-CH")).toBe(123450n);
  });

  it.each(["12,50", "1,23", "1.2.3", "1,2345", "1e3", "0x10", "abc", "1 2", ".", "12.50.00", "١٢"])(
    "refuses %s instead of guessing",
    (text) => {
      expect(read(text)).toMatch(/^Write it like 1,234\.56$/);
    },
  );

  it("refuses what a German might mean as a decimal point", () => {
    expect(read("12.50", "EUR", "de-DE")).toBe("Write it like 1.234,56");
  });

  it("refuses a sign, nothing, and more decimals than there are", () => {
    expect(read("-5")).toBe("Write the amount without a sign");
    expect(read("  ")).toBe("Write an amount");
    expect(read("1.005")).toBe("EUR has 2 decimals at most");
    expect(read("1.5", "JPY")).toBe("JPY has no decimals");
  });

  it("is exact to the largest amount, and refuses one more", () => {
    expect(read("90,071,992,547,409.91")).toBe(AMOUNT_MAX);
    expect(read("90071992547409.92")).toMatch(/^At most €90,071,992,547,409\.91/);
  });

  it("takes zero only where zero makes sense", () => {
    expect(parsePositive("0.00", "EUR", "en-US")).toEqual({ wrong: "Write more than zero" });
    expect(parsePositive("0.01", "EUR", "en-US")).toEqual({ minor: 1n });
  });
});

describe("digits of a currency", () => {
  it.each([
    ["EUR", 2],
    ["JPY", 0],
    ["KWD", 3],
    ["CLF", 4],
    ["POINTS", 0],
    ["BTC", 0],
  ])("%s has %i", (currency, digits) => {
    expect(digitsOf(currency)).toBe(digits);
  });

  it("is applied when reading", () => {
    expect(read("1.234", "KWD")).toBe(1234n);
    expect(read("1,500", "POINTS")).toBe(1500n);
    expect(read("1,500 POINTS", "POINTS")).toBe(1500n);
  });
});

describe("writing an amount", () => {
  it("is exact where a float is not", () => {
    expect(formatAmount(AMOUNT_MAX, "EUR", { locale: "en-US" })).toBe("€90,071,992,547,409.91");
    expect(formatAmount(2n * AMOUNT_MAX, "EUR", { locale: "en-US" })).toBe("€180,143,985,094,819.82");
  });

  it("has the currency's digits, sign and symbol", () => {
    expect(formatAmount(-5n, "EUR", { locale: "en-US" })).toBe("-€0.05");
    expect(formatAmount(500n, "EUR", { locale: "en-US", signed: true })).toBe("+€5.00");
    expect(formatAmount(0n, "EUR", { locale: "en-US", signed: true })).toBe("€0.00");
    expect(formatAmount(1500n, "JPY", { locale: "en-US" })).toBe("¥1,500");
    expect(formatAmount(1500n, "POINTS", { locale: "en-US" })).toBe("1,500 POINTS");
  });

  it("for a field can be read again", () => {
    for (const minor of [0n, 5n, 123456n, AMOUNT_MAX]) {
      for (const locale of ["en-US", "de-DE", "fr-FR"]) {
        expect(parseAmount(editableAmount(minor, "EUR", locale), "EUR", locale)).toEqual({ minor });
      }
    }
  });

  it("places the decimal point in text", () => {
    expect(decimalText(5n, 2)).toBe("0.05");
    expect(decimalText(-12345n, 3)).toBe("-12.345");
    expect(decimalText(7n, 0)).toBe("7");
  });
});
