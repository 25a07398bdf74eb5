import { keepPreviousData, type QueryClient, queryOptions, useQueryClient } from "@tanstack/react-query";
import { client, dataOf, until } from "./client";
import { isLive } from "./live";
import { isMissing } from "./problem";
import type { Kind, Wallet, WalletStatus } from "./shapes";

/** How often an open page asks again, in milliseconds, where it is not told of changes, or they come without being told. */
export const POLL_MS = 1_000;

/** Entries of the balance chart: as many as one page of the list can have. */
export const CHART_ENTRIES_MAX = 500;
export const PAGE_ITEMS = 20;

/** Wallets that a search looks through: as many as one page of the list can have. */
export const SEARCHED_MAX = 500;

/** A wallet and the tag by which the service can say that it has not changed. */
export interface Tagged {
  wallet: Wallet;
  etag: string | null;
}

/** A wallet as it is, asked for again and again; an unchanged one costs an empty answer. */
export function walletQuery(queries: QueryClient, id: string) {
  const queryKey = ["wallet", id, "state"];
  return queryOptions({
    queryKey,
    queryFn: async ({ signal }): Promise<Tagged> => {
      const known = queries.getQueryData<Tagged>(queryKey);
      const { data, error, response } = await client.GET("/v1/wallets/{id}", {
        params: { path: { id } },
        headers: known?.etag ? { "If-None-Match": known.etag } : {},
        signal: until(signal),
      });
      if (response.status === 304 && known !== undefined) {
        return known;
      }
      const wallet = dataOf({ data, error, response });
      if (!("status" in wallet)) {
        throw new TypeError("asked for the wallet as it is, and got it as it was");
      }
      return { wallet, etag: response.headers.get("ETag") };
    },
    // What is not there is not asked for again and again. That a hold lapses is told only by the next write.
    refetchInterval: ({ state: { data, error } }) =>
      isMissing(error) || (isLive() && data?.wallet.held === 0) ? false : POLL_MS,
  });
}

export function useWalletQuery(id: string) {
  return walletQuery(useQueryClient(), id);
}

export interface WalletFilter {
  currency?: string;
  status?: WalletStatus;
}

export function walletsQuery(filter: WalletFilter, cursor: string | undefined, limit = PAGE_ITEMS) {
  return queryOptions({
    queryKey: ["wallets", filter, limit, cursor ?? null],
    queryFn: async ({ signal }) =>
      dataOf(
        await client.GET("/v1/wallets", {
          params: { query: { ...filter, ...at(cursor), limit } },
          signal: until(signal),
        }),
      ),
    refetchInterval: ({ state: { data } }) =>
      isLive() && data?.items.every(({ held }) => held === 0) ? false : POLL_MS,
    placeholderData: keepPreviousData,
  });
}

/** What follows depends on nothing but the wallet's version, so the version that is shown says when to ask again. */
export function entriesQuery(id: string, version: number, cursor: string | undefined, limit = PAGE_ITEMS) {
  return queryOptions({
    queryKey: ["wallet", id, "entries", limit, cursor ?? null, version],
    queryFn: async ({ signal }) =>
      dataOf(
        await client.GET("/v1/wallets/{id}/entries", {
          params: { path: { id }, query: { ...at(cursor), limit } },
          signal: until(signal),
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

/** Holds expire without a new version, which is written only when the wallet is next written to. */
export function holdsQuery({ id, version, held }: Wallet, cursor: string | undefined) {
  return queryOptions({
    queryKey: ["wallet", id, "holds", cursor ?? null, version, held],
    queryFn: async ({ signal }) =>
      dataOf(
        await client.GET("/v1/wallets/{id}/holds", {
          params: { path: { id }, query: { ...at(cursor), limit: PAGE_ITEMS } },
          signal: until(signal),
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

export function transactionQuery(id: string) {
  return queryOptions({
    queryKey: ["transaction", id],
    queryFn: async ({ signal }) =>
      dataOf(await client.GET("/v1/transactions/{id}", { params: { path: { id } }, signal: until(signal) })),
    // A receipt never changes.
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** The latest transactions of one kind that touched a wallet. */
export function transactionsQuery(walletId: string, version: number, kind: Kind) {
  return queryOptions({
    queryKey: ["wallet", walletId, "transactions", kind, version],
    queryFn: async ({ signal }) =>
      dataOf(
        await client.GET("/v1/transactions", {
          params: { query: { wallet_id: walletId, kind, limit: 500 } },
          signal: until(signal),
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

/** The proof of a wallet's whole history. Asked for only when somebody wants it: it takes time for each entry. */
export function verificationQuery(id: string) {
  return queryOptions({
    queryKey: ["verification", id],
    queryFn: async ({ signal }) =>
      dataOf(
        await client.GET("/v1/wallets/{id}/verification", {
          params: { path: { id } },
          signal: until(signal),
        }),
      ),
    enabled: false,
    gcTime: 0,
  });
}

function at(cursor: string | undefined): { cursor?: string } {
  return cursor === undefined ? {} : { cursor };
}
