import { digitsOf } from "./currency";

/** The largest amount of the contract: what every JSON client represents exactly. In minor units. */
export const AMOUNT_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** What was read from a text: an amount in minor units, or what is wrong with the text, for the person who wrote it. */
export type Reading = { minor: bigint } | { wrong: string };

/** Group separators that some people write whatever their locale says. */
const SPACES = /[\s\u00a0\u202f\u2009]/g;

/**
 * An amount of 0 or more, as written in the currency: "1,234.50" is 123450n euro cents where the locale says so.
 *
 * Strict, because a misread separator is a hundredfold error: groups must have their places, and more digits than
 * the currency has are refused, not rounded. Digits only ever pass through text and BigInt.
 */
export function parseAmount(text: string, currency: string, locale?: string): Reading {
  const { group, decimal } = separators(locale);
  const digits = digitsOf(currency);
  const bare = withoutSymbol(text, currency, locale);
  if (bare === "") {
    return { wrong: "Write an amount" };
  }
  if (/^[-−+]/.test(bare)) {
    return { wrong: "Write the amount without a sign" };
  }
  // Where a point groups nothing, it is what a numeric keypad gives for the decimal separator.
  const marks = group === "." ? [decimal] : [decimal, "."];
  const at = Math.max(...marks.map((mark) => bare.lastIndexOf(mark)));
  const whole = ungrouped(at < 0 ? bare : bare.slice(0, at), group);
  const fraction = at < 0 ? "" : bare.slice(at + 1);
  if (whole === null || !/^\d*$/.test(fraction) || whole + fraction === "") {
    return { wrong: `Write it like ${exampleAmount(currency, locale)}` };
  }
  if (fraction.length > digits && /[^0]/.test(fraction.slice(digits))) {
    return {
      wrong: digits === 0 ? `${currency} has no decimals` : `${currency} has ${digits} decimals at most`,
    };
  }
  const minor = BigInt(whole + fraction.slice(0, digits).padEnd(digits, "0"));
  return minor > AMOUNT_MAX
    ? { wrong: `At most ${formatAmount(AMOUNT_MAX, currency, { locale })} at once` }
    : { minor };
}

/** As `parseAmount`, for an amount that must be more than 0, as every amount to move is. */
export function parsePositive(text: string, currency: string, locale?: string): Reading {
  const reading = parseAmount(text, currency, locale);
  return "minor" in reading && reading.minor === 0n ? { wrong: "Write more than zero" } : reading;
}

/** An amount as people write it, with the currency. `signed` puts a plus before a gain. */
export function formatAmount(
  minor: bigint,
  currency: string,
  { signed = false, locale }: { signed?: boolean; locale?: string | undefined } = {},
): string {
  const digits = digitsOf(currency);
  const text = formatter(currency, digits, signed, locale).format(decimalText(minor, digits));
  return isIntlCode(currency) ? text : `${text} ${currency}`;
}

/** An amount as a person would type it into a field: digits and the decimal separator, nothing else. */
export function editableAmount(minor: bigint, currency: string, locale?: string): string {
  return decimalText(minor, digitsOf(currency)).replace(".", separators(locale).decimal);
}

/** What an amount of this currency looks like, for hints. */
export function exampleAmount(currency: string, locale?: string): string {
  const digits = digitsOf(currency);
  return formatter("XXXX", digits, false, locale).format(
    decimalText((123456n * 10n ** BigInt(digits)) / 100n, digits),
  );
}

type DecimalText = `${number}`;

/** Minor units as a decimal number in text, which Intl formats without ever making a float of it. */
export function decimalText(minor: bigint, digits: number): DecimalText {
  const sign = minor < 0n ? "-" : "";
  const text = (minor < 0n ? -minor : minor).toString().padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits);
  return `${sign}${whole}${digits === 0 ? "" : `.${text.slice(-digits)}`}` as DecimalText;
}

function isIntlCode(currency: string): boolean {
  return /^[A-Z]{3}$/.test(currency);
}

const formatters = new Map<string, Intl.NumberFormat>();

function formatter(currency: string, digits: number, signed: boolean, locale?: string): Intl.NumberFormat {
  const name = [currency, digits, signed, locale].join(" ");
  const known = formatters.get(name);
  if (known !== undefined) {
    return known;
  }
  const made = new Intl.NumberFormat(locale, {
    ...(isIntlCode(currency) ? { style: "currency", currency, currencyDisplay: "narrowSymbol" } : {}),
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    signDisplay: signed ? "exceptZero" : "negative",
    numberingSystem: "latn",
  });
  formatters.set(name, made);
  return made;
}

function separators(locale?: string): { group: string; decimal: string } {
  const parts = new Intl.NumberFormat(locale, { numberingSystem: "latn" }).formatToParts(-1234567.5);
  const of = (type: string, otherwise: string) =>
    parts.find((part) => part.type === type)?.value ?? otherwise;
  const group = of("group", ",");
  return { group: /\s/.test(group) ? " " : group, decimal: of("decimal", ".") };
}

function withoutSymbol(text: string, currency: string, locale?: string): string {
  const parts = formatter(currency, 0, false, locale).formatToParts(1);
  const symbol = parts.find((part) => part.type === "currency")?.value ?? currency;
  let bare = text.trim().replace(SPACES, " ");
  for (const mark of [currency, symbol]) {
    if (bare.toUpperCase().startsWith(mark.toUpperCase())) {
      bare = bare.slice(mark.length).trim();
    } else if (bare.toUpperCase().endsWith(mark.toUpperCase())) {
      bare = bare.slice(0, -mark.length).trim();
    }
  }
  return bare;
}

/** The digits of a whole number, if the group separators in it stand where such separators stand; else null. */
function ungrouped(text: string, group: string): string | null {
  // Spaces group in no locale's disfavour, and some locales write an apostrophe in either of two ways.
  for (const mark of new Set([group, " ", ...(group === "’" ? ["'"] : [])])) {
    const groups = text.split(mark);
    const [first = "", ...rest] = groups;
    const last = rest.at(-1) ?? "";
    const inThrees = /^\d{1,3}$/.test(first) && rest.every((each) => /^\d{3}$/.test(each));
    // The Indian way: 12,34,567.
    const inTwos =
      /^\d{1,2}$/.test(first) &&
      /^\d{3}$/.test(last) &&
      rest.slice(0, -1).every((each) => /^\d{2}$/.test(each));
    if (rest.length > 0 && (inThrees || inTwos)) {
      return groups.join("");
    }
  }
  return /^\d*$/.test(text) ? text : null;
}
