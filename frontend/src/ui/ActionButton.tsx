import { Button, type ButtonProps, Tooltip, VisuallyHidden } from "@mantine/core";
import { type ReactNode, useId } from "react";

interface Props extends ButtonProps {
  children: ReactNode;
  /** Why it cannot be done now, in words; null if it can. */
  whyNot: string | null;
  onClick?: () => void;
  type?: "button" | "submit";
}

/**
 * A button that says why it does nothing. It stays in the tab order then, so that the reason is there for everybody:
 * shown on hover, focus and touch, and read out with the button.
 */
export function ActionButton({ children, whyNot, onClick, type = "button", ...props }: Props) {
  const reason = useId();
  const off = whyNot !== null;
  return (
    <>
      <Tooltip label={whyNot} disabled={!off}>
        <Button
          {...props}
          type={off ? "button" : type}
          aria-disabled={off || undefined}
          data-disabled={off || undefined}
          aria-describedby={off ? reason : undefined}
          onClick={off ? undefined : onClick}
        >
          {children}
        </Button>
      </Tooltip>
      {off && <VisuallyHidden id={reason}>{whyNot}</VisuallyHidden>}
    </>
  );
}
