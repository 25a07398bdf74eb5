import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Where `npm run dev` finds the service, which otherwise serves the built pages itself.
const service = process.env.WALLET_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/entrypoints/ui",
    emptyOutDir: true,
    // The policy of the service forbids data: and inline content, so every asset is a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What counts is what goes over the wire, and scripts/size.mjs judges that.
    chunkSizeWarningLimit: 1_000,
  },
  server: {
    host: "127.0.0.1",
    proxy: Object.fromEntries(["/v1", "/health", "/schema"].map((path) => [path, service])),
  },
  test: { include: ["src/**/*.test.ts"] },
});
