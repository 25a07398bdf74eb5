import { useQuery } from "@tanstack/react-query";
import { isMissing } from "../api/problem";
import { SEARCHED_MAX, useWalletQuery, type WalletFilter, walletsQuery } from "../api/reads";
import type { Wallet } from "../api/shapes";
import { isWalletId, titleOf } from "./labels";

export interface Found {
  /** Undefined: they are on their way. */
  wallets: readonly Wallet[] | undefined;
  nextCursor: string | null;
  error: Error | null;
  isOld: boolean;
  /** Whether there are wallets that the search did not look at. */
  isPartial: boolean;
}

/**
 * The wallets that a filter lets through and a search finds: by a part of the name or of the id among the latest
 * ones, which is as far as the service can be asked at once; by the whole id among all there are.
 */
export function useFoundWallets(filter: WalletFilter, search: string, cursor: string | undefined): Found {
  const text = search.trim().toLowerCase();
  const isId = isWalletId(text);
  const page = useQuery({ ...walletsQuery(filter, cursor), enabled: text === "" });
  const latest = useQuery({
    ...walletsQuery(filter, undefined, SEARCHED_MAX),
    enabled: text !== "" && !isId,
  });
  const named = useQuery({ ...useWalletQuery(text), enabled: isId });
  if (isId) {
    const missing = isMissing(named.error);
    const wallets = missing ? [] : named.data && [named.data.wallet];
    return { wallets, nextCursor: null, error: missing ? null : named.error, isOld: false, isPartial: false };
  }
  if (text !== "") {
    return {
      wallets: latest.data?.items.filter((wallet) => isFoundBy(text, wallet)),
      nextCursor: null,
      error: latest.error,
      isOld: latest.isPlaceholderData,
      isPartial: latest.data !== undefined && latest.data.next_cursor !== null,
    };
  }
  return {
    wallets: page.data?.items,
    nextCursor: page.data?.next_cursor ?? null,
    error: page.error,
    isOld: page.isPlaceholderData,
    isPartial: false,
  };
}

function isFoundBy(text: string, wallet: Wallet): boolean {
  return wallet.id.includes(text) || titleOf(wallet).toLowerCase().includes(text);
}
