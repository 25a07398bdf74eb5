import { Anchor, Button, Group, Paper, Select, Stack, Text, TextInput, Title } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { Plus, Search } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useLocation } from "wouter";
import { SEARCHED_MAX, type WalletFilter } from "../api/reads";
import type { WalletStatus } from "../api/shapes";
import { isCurrency } from "../money/currency";
import { Pager, usePages } from "../ui/Pager";
import { ReadProblem } from "../ui/ReadProblem";
import { useFoundWallets } from "./found";
import { OpenIntents, OpenWalletDialog } from "./OpenWalletDialog";
import { WalletsTable } from "./WalletsTable";
import classes from "./wallets.module.css";

const TYPING_MS = 250;

/** The wallets of the tenant. */
export function WalletsPage() {
  const [sought, setSought] = useState("");
  const [search] = useDebouncedValue(sought.trim(), TYPING_MS);
  const [typed, setTyped] = useState("");
  const [currency] = useDebouncedValue(typed.trim().toUpperCase(), TYPING_MS);
  const [status, setStatus] = useState<WalletStatus | "">("");
  const [opening, setOpening] = useState(false);
  const filter: WalletFilter = {
    ...(isCurrency(currency) ? { currency } : {}),
    ...(status === "" ? {} : { status }),
  };
  const pages = usePages(JSON.stringify([filter, search]));
  const { wallets, nextCursor, error, isOld, isPartial } = useFoundWallets(filter, search, pages.cursor);
  const filtered = search !== "" || Object.keys(filter).length > 0;
  const [, navigate] = useLocation();
  const goToTheOnlyOne = (event: FormEvent) => {
    event.preventDefault();
    if (wallets?.length === 1 && wallets[0] !== undefined && search === sought.trim()) {
      navigate(`/wallets/${wallets[0].id}`);
    }
  };
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
        <form onSubmit={goToTheOnlyOne}>
          <TextInput
            type="search"
            label="Search"
            placeholder="A name, or an id"
            leftSection={<Search size={16} aria-hidden />}
            value={sought}
            onChange={(event) => setSought(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
          />
        </form>
        <TextInput
          label="Currency"
          placeholder="All"
          value={typed}
          error={
            typed.trim() !== "" && !isCurrency(typed.trim().toUpperCase()) ? "A code such as EUR" : undefined
          }
          onChange={(event) => setTyped(event.currentTarget.value)}
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
          onChange={(value) => setStatus((value ?? "") as WalletStatus | "")}
          allowDeselect={false}
        />
      </div>
      <ReadProblem error={error} stale={wallets !== undefined} />
      <Paper withBorder className={classes.list} aria-busy={isOld || wallets === undefined}>
        {wallets?.length === 0 ? (
          <Stack align="center" gap="xs" p="xl">
            <Text fw={600}>{filtered ? "No wallet is like that" : "There are no wallets yet"}</Text>
            <Text c="dimmed" size="sm" ta="center">
              {filtered
                ? "Another search, or other filters, may find some."
                : "Open the first one: choose a currency, and it is there."}
            </Text>
          </Stack>
        ) : (
          <WalletsTable wallets={wallets} />
        )}
        {/* What is shown may still be the list from before, whose pages are not those of this one. */}
        <Pager pages={pages} nextCursor={isOld ? null : nextCursor} of="wallets" />
      </Paper>
      {isPartial && (
        <Text size="sm" role="status">
          The search looked at the latest {SEARCHED_MAX} wallets that the filters let through. A whole id
          finds any wallet.
        </Text>
      )}
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
