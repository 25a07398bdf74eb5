import "@mantine/core/styles.css";
import "./app/theme.css";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ReadFailed } from "./api/problem";
import { takeKeyFromAddress } from "./api/session";
import { App } from "./app/App";
import { theme } from "./app/theme";

takeKeyFromAddress();

const READ_RETRIES_MAX = 2;

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What the service says no to, it says no to again; what it could not answer is worth asking for once more.
      retry: (failures, error) =>
        failures < READ_RETRIES_MAX && !(error instanceof ReadFailed && error.status < 500),
      retryDelay: 500,
    },
  },
});

const root = document.getElementById("root");
if (root === null) {
  throw new Error("the page has no root");
}
createRoot(root).render(
  <StrictMode>
    {/* The policy of the service allows no inline styles, so Mantine's variables come from its style sheet. */}
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
