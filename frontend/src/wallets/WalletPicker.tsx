import { Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useWalletQuery, walletsQuery } from "../api/reads";
import type { Wallet } from "../api/shapes";
import { formatAmount } from "../money/amount";
import { isWalletId, shortId, titleOf } from "./labels";

interface Props {
  label: string;
  description?: string;
  /** The wallet that is not to be chosen. */
  not: string;
  currency: string;
  chosen: Wallet | null;
  onChoose: (wallet: Wallet | null) => void;
  required?: boolean;
}

const TYPING_MS = 200;

/** Chooses another wallet of a currency: from the latest ones, or any by its id. */
export function WalletPicker({ not, currency, chosen, onChoose, ...props }: Props) {
  const [search, setSearch] = useState("");
  const [typed] = useDebouncedValue(search.trim().toLowerCase(), TYPING_MS);
  const asked = isWalletId(typed) && typed !== not;
  const { data: page } = useQuery(walletsQuery({ currency, status: "active" }, undefined));
  const named = useQuery({ ...useWalletQuery(typed), enabled: asked });
  const found = asked ? named.data?.wallet : undefined;
  const wallets = new Map<string, Wallet>();
  for (const wallet of [...(page?.items ?? []), ...(chosen ? [chosen] : []), ...(found ? [found] : [])]) {
    if (wallet.id !== not && wallet.currency === currency) {
      wallets.set(wallet.id, wallet);
    }
  }
  const wrong =
    typed === not && not !== ""
      ? "That is this wallet"
      : found && found.currency !== currency
        ? `That wallet is in ${found.currency}, this one in ${currency}`
        : asked && named.isError
          ? "There is no such wallet"
          : undefined;
  return (
    <Select
      {...props}
      placeholder="Search by name, or paste an id"
      data={[...wallets.values()].map((wallet) => ({
        value: wallet.id,
        label: `${titleOf(wallet)} · ${shortId(wallet.id)} · ${formatAmount(BigInt(wallet.balance), currency)}`,
      }))}
      value={chosen?.id ?? null}
      onChange={(id) => onChoose((id && wallets.get(id)) || null)}
      searchable
      searchValue={search}
      onSearchChange={setSearch}
      // The id is not in the label in full, so a pasted one is looked up and shown whatever the label says.
      filter={({ options, search: text }) =>
        options.filter(
          (option) =>
            "value" in option &&
            (option.value === text.trim().toLowerCase() ||
              option.label.toLowerCase().includes(text.trim().toLowerCase())),
        )
      }
      nothingFoundMessage={
        asked && named.isPending ? "Looking it up…" : "No wallet of this currency is called that"
      }
      error={wrong}
      clearable
    />
  );
}
