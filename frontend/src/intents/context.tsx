import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, use, useEffect, useState, useSyncExternalStore } from "react";
import { accountOf } from "../api/session";
import type { Operation } from "./intent";
import { transportOf } from "./transport";
import { isOpen, type Tracked, Writer } from "./writer";

const WriterContext = createContext<Writer | null>(null);

/** Gives the pages inside it the writer of an API key, once it has taken up what earlier pages left unsettled. */
export function WriterProvider({ apiKey, children }: { apiKey: string; children: ReactNode }) {
  const queries = useQueryClient();
  const [writer, setWriter] = useState<Writer | null>(null);
  useEffect(() => {
    let made: Writer | null = null;
    let gone = false;
    void accountOf(apiKey).then((account) => {
      if (!gone) {
        made = new Writer(queries, transportOf(apiKey), account);
        made.resume();
        setWriter(made);
      }
    });
    return () => {
      gone = true;
      made?.stop();
      // What one key may see is none of the next one's business.
      queries.getQueryCache().clear();
    };
  }, [apiKey, queries]);
  return writer && <WriterContext value={writer}>{children}</WriterContext>;
}

export function useWriter(): Writer {
  const writer = use(WriterContext);
  if (writer === null) {
    throw new Error("useWriter is for pages inside a WriterProvider");
  }
  return writer;
}

function useAll(): readonly Tracked[] {
  const writer = useWriter();
  return useSyncExternalStore(writer.subscribe, writer.snapshot);
}

/** What this page knows of intents that touch a wallet, oldest first. */
export function useTrackedOf(walletId: string): Tracked[] {
  return useAll().filter(({ intent }) => intent.wallets.includes(walletId));
}

/** Intents of one kind, for those that belong to no wallet yet. */
export function useTrackedAs(operation: Operation): Tracked[] {
  return useAll().filter(({ intent }) => intent.operation === operation);
}

/** Intents that are not settled, of all wallets. */
export function useOpenIntents(): Tracked[] {
  return useAll().filter(isOpen);
}
