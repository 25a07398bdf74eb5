import createClient from "openapi-fetch";
import type { LabPaths } from "../lab/state";
import { problemIn, ReadFailed } from "./problem";
import type { paths } from "./schema";
import { apiKey, signOut } from "./session";

/** How long any request may take, in milliseconds: longer than the service itself waits for its database. */
export const REQUEST_MS_MAX = 10_000;

export const client = createClient<paths & LabPaths>({ cache: "no-store" });

client.use({
  onRequest({ request }) {
    const key = apiKey();
    if (key !== null) {
      request.headers.set("Authorization", `Bearer ${key}`);
    }
    return request;
  },
  onResponse({ request, response }) {
    // A key that was revoked, or never was one: only its holder can bring another. Unless one has come meanwhile.
    if (response.status === 401 && request.headers.get("Authorization") === `Bearer ${apiKey()}`) {
      signOut("refused");
    }
  },
});

interface Read<T> {
  data?: T | undefined;
  error?: unknown;
  response: Response;
}

/** The data of a read. Raises `ReadFailed` for a problem. */
export function dataOf<T>({ data, error, response }: Read<T>): T {
  if (data === undefined) {
    throw new ReadFailed(response.status, problemIn(error));
  }
  return data;
}

/** A signal that ends a read when nobody wants it any more, or after the time any request may take. */
export function until(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS_MAX)]);
}
