import { NativeSelect, NumberInput } from "@mantine/core";
import classes from "./lab.module.css";
import type { AnyValues, Spec, Specs } from "./params";

/** What is in the fields: also what is being typed, and no number yet. */
export type Typed = AnyValues;

interface Props {
  specs: Specs;
  typed: Typed;
  onTyped: (typed: Typed) => void;
}

/** A field for each parameter of a scenario. */
export function ParamFields({ specs, typed, onTyped }: Props) {
  return (
    <div className={classes.params}>
      {Object.entries(specs).map(([name, spec]) => (
        <Field
          key={name}
          spec={spec}
          value={typed[name] ?? spec.initial}
          onChange={(value) => onTyped({ ...typed, [name]: value })}
        />
      ))}
    </div>
  );
}

interface FieldProps {
  spec: Spec;
  value: string | number;
  onChange: (value: string | number) => void;
}

function Field({ spec, value, onChange }: FieldProps) {
  if (spec.kind === "choice") {
    return (
      <NativeSelect
        label={spec.label}
        size="xs"
        data={[...spec.choices]}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    );
  }
  return (
    <NumberInput
      label={spec.label}
      size="xs"
      value={value}
      onChange={onChange}
      min={spec.min}
      max={spec.max}
      step={spec.step ?? 1}
      clampBehavior="none"
      allowDecimal={false}
      allowNegative={false}
      error={whyNotValue(spec, value) !== null}
      {...(spec.unit && { suffix: ` ${spec.unit}` })}
    />
  );
}

/** Why what is in the fields cannot be run with; null if it can. */
export function whyNotTyped(specs: Specs, typed: Typed): string | null {
  const whys = Object.entries(specs).map(([name, spec]) => whyNotValue(spec, typed[name] ?? spec.initial));
  return whys.find((why) => why !== null) ?? null;
}

function whyNotValue(spec: Spec, value: string | number): string | null {
  if (
    spec.kind === "choice" ||
    (Number.isInteger(value) && Number(value) >= spec.min && Number(value) <= spec.max)
  ) {
    return null;
  }
  return `${spec.label}: from ${spec.min} to ${spec.max}`;
}
