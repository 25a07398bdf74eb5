import { Text, TextInput } from "@mantine/core";
import { exampleAmount, type Reading } from "../money/amount";

interface Props {
  label: string;
  description?: string;
  currency: string;
  text: string;
  onText: (text: string) => void;
  reading: Reading;
  /** What is wrong with an amount that could be read. */
  whyNot?: string | null;
  required?: boolean;
  autoFocus?: boolean;
}

/** A field for an amount, typed as people write it. What is wrong with it is said as soon as something is there. */
export function AmountField({ currency, text, onText, reading, whyNot, autoFocus, ...props }: Props) {
  const wrong = "wrong" in reading ? reading.wrong : whyNot;
  return (
    <TextInput
      {...props}
      value={text}
      onChange={(event) => onText(event.currentTarget.value)}
      error={text.trim() === "" ? undefined : wrong}
      placeholder={exampleAmount(currency)}
      inputMode="decimal"
      autoComplete="off"
      rightSection={
        <Text span size="sm" c="dimmed">
          {currency}
        </Text>
      }
      rightSectionWidth={currency.length * 10 + 20}
      rightSectionPointerEvents="none"
      data-autofocus={autoFocus || undefined}
    />
  );
}
