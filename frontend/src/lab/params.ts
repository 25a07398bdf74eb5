/** A parameter of a scenario: a whole number within bounds, or one of a few choices. */
export type Spec = WholeSpec | ChoiceSpec;

export interface WholeSpec {
  readonly kind: "whole";
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly initial: number;
  readonly step?: number;
  /** What it counts: "ms". */
  readonly unit?: string;
}

export interface ChoiceSpec<Name extends string = string> {
  readonly kind: "choice";
  readonly label: string;
  readonly choices: readonly { readonly value: Name; readonly label: string }[];
  readonly initial: Name;
}

/** By the name that a link has them under. */
export type Specs = Readonly<Record<string, Spec>>;
export type Value<S extends Spec> = S extends ChoiceSpec<infer Name> ? Name : number;
export type Values<S extends Specs> = { readonly [Name in keyof S]: Value<S[Name]> };
export type AnyValues = Readonly<Record<string, string | number>>;

export function whole(label: string, spec: Omit<WholeSpec, "kind" | "label">): WholeSpec {
  return { kind: "whole", label, ...spec };
}

export function choice<const Name extends string>(
  label: string,
  initial: NoInfer<Name>,
  choices: readonly { value: Name; label: string }[],
): ChoiceSpec<Name> {
  return { kind: "choice", label, initial, choices };
}

/** The values that a link gives; the initial one where it gives none, or one that is out of bounds. */
export function valuesIn(link: URLSearchParams, specs: Specs, initial: AnyValues = {}): AnyValues {
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [
      name,
      valueIn(link.get(name), spec) ?? initial[name] ?? spec.initial,
    ]),
  );
}

function valueIn(text: string | null, spec: Spec): string | number | null {
  if (text === null) {
    return null;
  }
  if (spec.kind === "choice") {
    return spec.choices.find(({ value }) => value === text)?.value ?? null;
  }
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return value >= spec.min && value <= spec.max ? value : null;
}

/** The part of a link that names a scenario and its parameters. */
export function searchOf(scenario: string, values: AnyValues): string {
  const pairs = Object.entries(values).map(([name, value]): [string, string] => [name, String(value)]);
  return new URLSearchParams([["scenario", scenario], ...pairs]).toString();
}

/** The scenario that a link names, if it names one. */
export function scenarioIn(link: URLSearchParams): string | null {
  return link.get("scenario");
}
