// Puts compressed forms beside each built file that gets smaller by it, so that the service need not compress at all.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const FORMS = {
  ".br": (bytes) =>
    promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  ".gz": (bytes) => promisify(gzip)(bytes, { level: constants.Z_BEST_COMPRESSION }),
};
const built = fileURLToPath(new URL("../../src/entrypoints/ui/", import.meta.url));

const files = (await readdir(built, { recursive: true })).filter((name) =>
  /\.(css|html|js|json|svg)$/.test(name),
);
await Promise.all(
  files.flatMap((name) =>
    Object.entries(FORMS).map(async ([suffix, compress]) => {
      const bytes = await readFile(built + name);
      const smaller = await compress(bytes);
      if (smaller.length < bytes.length) {
        await writeFile(built + name + suffix, smaller);
      }
    }),
  ),
);
