import { Skeleton } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { Route, Switch } from "wouter";
import { useChanges } from "../api/live";
import { useApiKey } from "../api/session";
import { WriterProvider } from "../intents/context";
import { isWalletId } from "../wallets/labels";
import { WalletPage } from "../wallets/WalletPage";
import { WalletsPage } from "../wallets/WalletsPage";
import { Frame } from "./Frame";
import { NotFoundPage } from "./NotFoundPage";
import { SignInPage } from "./SignInPage";

// Few come for the lab, so it comes when somebody does.
const LabPage = lazy(() => import("../lab/LabPage"));

/** The pages. A page more is a route here, a link in `Frame`, and a path that the service answers with the index. */
export function App() {
  const apiKey = useApiKey();
  useChanges(useQueryClient(), apiKey);
  if (apiKey === null) {
    return <SignInPage />;
  }
  return (
    <WriterProvider key={apiKey} apiKey={apiKey}>
      <Frame>
        <Switch>
          <Route path="/">
            <WalletsPage />
          </Route>
          <Route<{ id: string; part?: string; item?: string }> path="/wallets/:id/:part?/:item?">
            {({ id, part, item }) =>
              isWalletId(id) ? (
                <WalletPage
                  key={id}
                  id={id}
                  transactionId={part === "transactions" && item !== undefined ? item : null}
                />
              ) : (
                <NotFoundPage />
              )
            }
          </Route>
          <Route path="/lab">
            <Suspense fallback={<Skeleton height={320} />}>
              <LabPage />
            </Suspense>
          </Route>
          <Route>
            <NotFoundPage />
          </Route>
        </Switch>
      </Frame>
    </WriterProvider>
  );
}
