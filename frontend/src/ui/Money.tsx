import { Text, type TextProps } from "@mantine/core";
import { formatAmount } from "../money/amount";
import classes from "./ui.module.css";

interface Props extends TextProps {
  /** In minor units. */
  minor: bigint | number;
  currency: string;
  /** Whether it is a change: gains get a plus and a colour. */
  signed?: boolean;
}

/** An amount as people write it. Never broken across lines. */
export function Money({ minor, currency, signed = false, ...props }: Props) {
  const amount = BigInt(minor);
  return (
    <Text span inherit className={classes.money} data-gain={(signed && amount > 0n) || undefined} {...props}>
      {formatAmount(amount, currency, { signed })}
    </Text>
  );
}
