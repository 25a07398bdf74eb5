import { REQUEST_MS_MAX } from "../api/client";
import type { components } from "../api/schema";
import { bodyOf, type Intent } from "./intent";
import type { Answer } from "./settlement";

type FenceBody = components["schemas"]["FenceBody"];

/** How writes reach the service, on behalf of one API key whatever key the tab has by then. */
export interface Transport {
  /** One attempt. Never raises: that nothing came back is an answer too. */
  send(intent: Intent): Promise<Answer>;
  /** Make sure that nothing more can happen under a key, and learn what has. */
  fence(key: string): Promise<Answer>;
}

export function transportOf(apiKey: string): Transport {
  const headers = { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" };
  return {
    send: (intent) =>
      answerOf(intent.request.path, {
        method: intent.request.method.toUpperCase(),
        headers: { ...headers, "Idempotency-Key": intent.key },
        body: JSON.stringify(bodyOf(intent)),
      }),
    fence: (key) =>
      answerOf("/v1/fences", { method: "POST", headers, body: JSON.stringify({ key } satisfies FenceBody) }),
  };
}

async function answerOf(path: string, init: RequestInit): Promise<Answer> {
  // The limit covers the body too: an answer that breaks off in the middle tells nothing.
  const signal = AbortSignal.timeout(REQUEST_MS_MAX);
  try {
    const response = await fetch(path, { ...init, signal, cache: "no-store" });
    const text = await response.text();
    return {
      status: response.status,
      body: parsed(text),
      replayed: response.headers.get("Idempotent-Replayed") === "true",
      retryAfterMs: retryAfterMs(response.headers.get("Retry-After")),
    };
  } catch {
    return { lost: signal.aborted ? "time" : "network" };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The service gives whole seconds; the other form of the header, a date, is taken for no advice. */
function retryAfterMs(header: string | null): number | null {
  return header !== null && /^\d{1,4}$/.test(header) ? Number(header) * 1000 : null;
}
