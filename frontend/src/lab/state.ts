import { queryOptions } from "@tanstack/react-query";
import { client, dataOf, until } from "../api/client";
import { isMissing } from "../api/problem";

/** What `GET /v1/lab` says. It is there only where the lab is on, and so no part of the contract. */
export interface LabState {
  points: { name: string; actions: string[] }[];
  /** Whether the service has a replay cache that can be made to fail. */
  cache: boolean;
  /** Whether the service asks it now: for a second or so after it has failed, it does not. */
  cache_asked: boolean;
  workers: number;
  request_timeout_ms: number;
}

export interface LabPaths {
  "/v1/lab": { get: { responses: { 200: { content: { "application/json": LabState } } } } };
}

/** What the lab of this service can do; null where it is off. */
export const labQuery = queryOptions({
  queryKey: ["lab", "state"],
  queryFn: async ({ signal }): Promise<LabState | null> => {
    try {
      return dataOf(await client.GET("/v1/lab", { signal: until(signal) }));
    } catch (error) {
      if (error instanceof Error && isMissing(error)) {
        return null;
      }
      throw error;
    }
  },
  staleTime: Number.POSITIVE_INFINITY,
});
