import { Anchor, Button, Group, Paper, Select, Stack, Text, TextInput, Title } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useLocation } from "wouter";
import { type WalletFilter, walletsQuery } from "../api/reads";
import type { WalletStatus } from "../api/shapes";
import { isCurrency } from "../money/currency";
import { Pager, usePages } from "../ui/Pager";
import { ReadProblem } from "../ui/ReadProblem";
import { isWalletId } from "./labels";
import { OpenIntents, OpenWalletDialog } from "./OpenWalletDialog";
import { WalletsTable } from "./WalletsTable";
import classes from "./wallets.module.css";

const TYPING_MS = 250;

/** The wallets of the tenant. */
export function WalletsPage() {
  const [typed, setTyped] = useState("");
  const [currency] = useDebouncedValue(typed.trim().toUpperCase(), TYPING_MS);
  const [status, setStatus] = useState<WalletStatus | "">("");
  const [opening, setOpening] = useState(false);
  const pages = usePages();
  const filter: WalletFilter = {
    ...(isCurrency(currency) ? { currency } : {}),
    ...(status === "" ? {} : { status }),
  };
  const { data, error, isPlaceholderData } = useQuery(walletsQuery(filter, pages.cursor));
  const filtered = Object.keys(filter).length > 0;
  return (
    <Stack gap="lg">
      <Group justify="space-between" align="end">
        <Title order={1}>Wallets</Title>
        <Button leftSection={<Plus size={18} aria-hidden />} onClick={() => setOpening(true)}>
          Open a wallet
        </Button>
      </Group>
      <OpenWalletDialog opened={opening} onClose={() => setOpening(false)} />
      <OpenIntents />
      <div className={classes.filters}>
        <TextInput
          label="Currency"
          placeholder="All"
          value={typed}
          error={
            typed.trim() !== "" && !isCurrency(typed.trim().toUpperCase()) ? "A code such as EUR" : undefined
          }
          onChange={(event) => {
            setTyped(event.currentTarget.value);
            pages.restart();
          }}
          autoComplete="off"
        />
        <Select
          label="Status"
          data={[
            { value: "", label: "All" },
            { value: "active", label: "Active" },
            { value: "frozen", label: "Frozen" },
            { value: "closed", label: "Closed" },
          ]}
          value={status}
          onChange={(value) => {
            setStatus((value ?? "") as WalletStatus | "");
            pages.restart();
          }}
          allowDeselect={false}
        />
        <FindById />
      </div>
      <ReadProblem error={error} stale={data !== undefined} />
      <Paper withBorder className={classes.list} aria-busy={isPlaceholderData || data === undefined}>
        {data?.items.length === 0 ? (
          <Stack align="center" gap="xs" p="xl">
            <Text fw={600}>{filtered ? "No wallet is like that" : "There are no wallets yet"}</Text>
            <Text c="dimmed" size="sm" ta="center">
              {filtered
                ? "Other filters may find some."
                : "Open the first one: choose a currency, and it is there."}
            </Text>
          </Stack>
        ) : (
          <WalletsTable wallets={data?.items} />
        )}
        {data && <Pager pages={pages} nextCursor={data.next_cursor} of="wallets" />}
      </Paper>
      <Text size="sm" c="dimmed">
        An amount is shown in its currency as ISO 4217 has it. Other units, such as points, are shown as they
        are counted.{" "}
        <Anchor href="/schema" underline="always" inherit>
          The API
        </Anchor>{" "}
        does all that this page does.
      </Text>
    </Stack>
  );
}

/** Goes to a wallet whose id is known. */
function FindById() {
  const [, navigate] = useLocation();
  const [id, setId] = useState("");
  const [wrong, setWrong] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isWalletId(id.trim())) {
      navigate(`/wallets/${id.trim().toLowerCase()}`);
    } else {
      setWrong(true);
    }
  };
  return (
    <form onSubmit={submit} className={classes.find}>
      <TextInput
        label="Wallet id"
        placeholder="Paste an id and press Enter"
        value={id}
        onChange={(event) => {
          setId(event.currentTarget.value);
          setWrong(false);
        }}
        error={wrong ? "An id has 32 hexadecimal digits, with dashes" : undefined}
        autoComplete="off"
        spellCheck={false}
      />
      <Button type="submit" variant="default" className={classes.go}>
        Go
      </Button>
    </form>
  );
}
