import { codes, code as iso4217 } from "currency-codes";

/**
 * How many digits of a currency's smallest unit stand behind the decimal separator (ISO 4217).
 *
 * The service counts in smallest units and leaves their size to the currency. A code that ISO 4217 does not know
 * (points, tokens) has 0: its unit is shown as it is counted, since any other guess would show a wrong sum.
 * Intl knows digits too, but browsers disagree about some (the Iraqi dinar has 3, or 0), and money must not.
 */
export function digitsOf(currency: string): number {
  return iso4217(currency)?.digits ?? 0;
}

/** What the currency is called in English, if ISO 4217 knows it. */
export function nameOf(currency: string): string | undefined {
  return iso4217(currency)?.currency;
}

/** What the contract takes for a currency. */
export function isCurrency(text: string): boolean {
  return /^[A-Z][A-Z0-9]{2,11}$/.test(text);
}

/** Codes to suggest, the common ones first. */
export function suggestedCurrencies(): string[] {
  const common = ["EUR", "USD", "GBP", "CHF", "JPY"];
  return [...common, ...codes().filter((each) => !common.includes(each))];
}
