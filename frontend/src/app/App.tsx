import { Route, Router, Switch } from "wouter";
import { useHashLocation } from "wouter/use-hash-location";
import { useApiKey } from "../api/session";
import { WriterProvider } from "../intents/context";
import { isWalletId } from "../wallets/labels";
import { WalletPage } from "../wallets/WalletPage";
import { WalletsPage } from "../wallets/WalletsPage";
import { Frame } from "./Frame";
import { NotFoundPage } from "./NotFoundPage";
import { SignInPage } from "./SignInPage";

/** The pages. A page more is a route here and a link in `Frame`. */
export function App() {
  const apiKey = useApiKey();
  if (apiKey === null) {
    return <SignInPage />;
  }
  return (
    <Router hook={useHashLocation}>
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
            <Route>
              <NotFoundPage />
            </Route>
          </Switch>
        </Frame>
      </WriterProvider>
    </Router>
  );
}
