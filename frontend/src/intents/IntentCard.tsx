import { Alert, Anchor, Button, Code, Group, Loader, Stack, Text } from "@mantine/core";
import { Ban, CircleCheck, CircleHelp, CircleX, CloudOff, GitCompareArrows } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "wouter";
import type { Wallet } from "../api/shapes";
import { Money } from "../ui/Money";
import { ConflictBody } from "./ConflictBody";
import { useWriter } from "./context";
import { leftBy, openedId } from "./settlement";
import { inWords, whyAgain } from "./words";
import { canDrop, RETRIES_MAX, type Tracked } from "./writer";

interface Props {
  tracked: Tracked;
  /** The wallet on whose page it is, as the page shows it; null where it is on no wallet's page. */
  wallet: Wallet | null;
}

/** Where an intent stands, in plain words, and what can be done about it. */
export function IntentCard({ tracked, wallet }: Props) {
  const { intent, stage, uncertain } = tracked;
  const { key, title, currency } = intent;
  const writer = useWriter();
  const dismiss = () => writer.dismiss(key);
  switch (stage.is) {
    case "sending":
      return stage.paused ? (
        <Card color="yellow" icon={<CloudOff />} title={`Waiting for the network: ${title}`}>
          <Text size="sm">
            {uncertain
              ? "The answer got lost when the network went. The same request is sent again, with the same key, as soon as it is back: it cannot happen twice."
              : "Nothing has been sent. It goes out as soon as the network is back."}
          </Text>
          {canDrop(tracked) && <Choice label="Do not send it" onClick={dismiss} />}
        </Card>
      ) : (
        <Card color="blue" icon={<Loader size={18} color="currentColor" aria-hidden />} title={`${title}…`}>
          {stage.attempts > 0 && (
            <Text size="sm">
              {whyAgain(stage.problem, currency)} Sent again with the same key, {stage.attempts} of{" "}
              {RETRIES_MAX}: it cannot happen twice.
            </Text>
          )}
        </Card>
      );
    case "fencing":
      return (
        <Card
          color="blue"
          icon={<Loader size={18} color="currentColor" aria-hidden />}
          title={`Making sure: ${title}`}
        />
      );
    case "stalled":
      return stage.unknown ? (
        <Card color="yellow" icon={<CircleHelp />} title={`Not known: ${title}`} urgent>
          <Text size="sm">
            {whyAgain(stage.problem, currency)} It may have happened, or not. Asking again with the same key
            finds out and cannot do it twice. Or rule it out: then it either turns out to have happened, or
            never will.
          </Text>
          <Group gap="xs">
            <Button size="xs" onClick={() => writer.retry(key)}>
              Ask again
            </Button>
            <Button size="xs" variant="default" onClick={() => void writer.fence(key)}>
              Rule it out
            </Button>
          </Group>
          <KeyLine value={key} />
        </Card>
      ) : (
        <Card color="yellow" icon={<CircleHelp />} title={`Not done yet: ${title}`} urgent>
          <Text size="sm">{whyAgain(stage.problem, currency)} Nothing has happened.</Text>
          <Group gap="xs">
            <Button size="xs" onClick={() => writer.retry(key)}>
              Try again
            </Button>
            <Choice label="Leave it" onClick={dismiss} />
          </Group>
        </Card>
      );
    case "conflict":
      return (
        <Card color="yellow" icon={<GitCompareArrows />} title={`The wallet has changed: ${title}?`} urgent>
          <ConflictBody tracked={tracked} wallet={wallet} problem={stage.problem} />
        </Card>
      );
    case "applied": {
      const left = wallet && leftBy(stage.receipt, wallet.id);
      return (
        <Card
          color="teal"
          icon={<CircleCheck />}
          title={stage.replayed ? `Already done: ${title}` : `Done: ${title}`}
          onClose={dismiss}
        >
          <Text size="sm">
            {stage.replayed && "An earlier attempt had done it, so it was not done again. "}
            {left && (
              <>
                The balance after it was <Money minor={left.balance} currency={currency} fw={600} />, at
                version {left.version}.
              </>
            )}
            {intent.operation === "open" && (
              <Anchor
                component={Link}
                href={`/wallets/${openedId(stage.receipt)}`}
                inherit
                underline="always"
                onClick={dismiss}
              >
                To the new wallet
              </Anchor>
            )}
          </Text>
        </Card>
      );
    }
    case "rejected":
    case "refused":
      return (
        <Card color="red" icon={<CircleX />} title={`Not done: ${title}`} onClose={dismiss} urgent>
          <Text size="sm">
            {inWords(stage.problem, currency)}{" "}
            {stage.is === "rejected"
              ? "That is final for this request; doing it again makes a new one."
              : "Nothing has happened."}
          </Text>
        </Card>
      );
    case "fenced":
      return (
        <Card color="gray" icon={<Ban />} title={`Ruled out: ${title}`} onClose={dismiss}>
          <Text size="sm">It has not happened and never will. Doing it again makes a new request.</Text>
        </Card>
      );
  }
}

interface CardProps {
  color: string;
  icon: ReactNode;
  title: string;
  children?: ReactNode;
  onClose?: () => void;
  /** Whether somebody has to know at once. */
  urgent?: boolean;
}

function Card({ color, icon, title, children, onClose, urgent = false }: CardProps) {
  return (
    <Alert
      color={color}
      icon={icon}
      title={title}
      role={urgent ? "alert" : "status"}
      withCloseButton={onClose !== undefined}
      closeButtonLabel="Close this message"
      {...(onClose && { onClose })}
    >
      {children && <Stack gap="xs">{children}</Stack>}
    </Alert>
  );
}

function Choice({ label, onClick }: { label: string; onClick: () => void }) {
  return (
    <Button size="xs" variant="default" onClick={onClick}>
      {label}
    </Button>
  );
}

function KeyLine({ value }: { value: string }) {
  return (
    <Text size="xs" c="dimmed">
      Key <Code>{value}</Code>
    </Text>
  );
}
