// What a first visit loads, compressed: everything that index.html names, and what those scripts import at once.
// Fails if that is too much. With --quiet it says nothing unless it fails.
import { readdir, readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 250_000;
const built = new URL("../../src/entrypoints/ui/", import.meta.url);

const html = await readFile(new URL("index.html", built), "utf8");
const sizes = await Promise.all(
  (await readdir(new URL("assets/", built)))
    .filter((name) => !/\.(br|gz)$/.test(name))
    .map(async (name) => ({
      name,
      first: html.includes(`/assets/${name}`),
      bytes: gzipSync(await readFile(new URL(`assets/${name}`, built))).length,
    })),
);
const first = sizes.filter((each) => each.first).reduce((sum, each) => sum + each.bytes, 0);
const lines = sizes
  .sort((a, b) => b.bytes - a.bytes)
  .map(({ name, bytes, first }) => `${String(bytes).padStart(8)}  ${first ? "first" : "later"}  ${name}`);
lines.push(`${String(first).padStart(8)}  of ${LIMIT_BYTES} bytes at most for the first load`);
if (first > LIMIT_BYTES || !process.argv.includes("--quiet")) {
  process.stdout.write(`${lines.join("\n")}\n`);
}
process.exitCode = first > LIMIT_BYTES ? 1 : 0;
