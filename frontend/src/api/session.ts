import { useSyncExternalStore } from "react";
import { newId } from "./id";

/**
 * The API key of this tab. It lives in the tab's session storage and travels only in a header. It may come in as
 * `#key=…`, a part of the address that no browser sends, and is taken out of the address and history at once.
 */
const SLOT = "wallet.api-key";
const FRAGMENT = "#key=";

let refused = false;
const listeners = new Set<() => void>();

export function apiKey(): string | null {
  return sessionStorage.getItem(SLOT);
}

export function signIn(key: string): void {
  refused = false;
  sessionStorage.setItem(SLOT, key.trim());
  tell();
}

/** Forget the key: its holder wants that, or the service refused it. */
export function signOut(why: "asked" | "refused"): void {
  refused = why === "refused";
  sessionStorage.removeItem(SLOT);
  tell();
}

/** Whether the last key was taken away because the service refused it. */
export function wasRefused(): boolean {
  return refused;
}

/** Take the key out of the address, if there is one, now and whenever such a link is opened in this tab. */
export function takeKeyFromAddress(): void {
  const take = () => {
    if (location.hash.startsWith(FRAGMENT)) {
      const key = decoded(location.hash.slice(FRAGMENT.length));
      history.replaceState(null, "", location.pathname + location.search);
      signIn(key);
    }
  };
  take();
  window.addEventListener("hashchange", take);
}

/** Percent signs may be escapes, or part of a key that nobody escaped. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The tab's API key; the component is drawn anew when it changes. */
export function useApiKey(): string | null {
  return useSyncExternalStore(subscribe, apiKey);
}

/**
 * A name for whoever this key belongs to, that does not give the key away. Writes that wait to be settled carry it,
 * so that they are never sent on behalf of somebody else.
 */
export async function accountOf(key: string): Promise<string> {
  // Without a secure context there is no digest; then no name is shared and writes wait for this very page only.
  if (!isSecureContext) {
    return pageAccount;
  }
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`wallet account ${key}`));
  return Array.from(new Uint8Array(digest).slice(0, 12), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

const pageAccount = newId();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(): void {
  for (const listener of listeners) {
    listener();
  }
}
