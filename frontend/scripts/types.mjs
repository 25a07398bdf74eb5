// Makes src/api/schema.d.ts from the OpenAPI document of a running service (WALLET_URL), or of the file that
// OPENAPI names. With --check nothing is written: it fails if the file is not what would be made.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";

const target = new URL("../src/api/schema.d.ts", import.meta.url);
const service = process.env.WALLET_URL ?? "http://127.0.0.1:8080";

async function document() {
  if (process.env.OPENAPI) {
    return JSON.parse(await readFile(process.env.OPENAPI, "utf8"));
  }
  const response = await fetch(new URL("/schema/openapi.json", service));
  if (!response.ok) {
    throw new Error(`${response.url} answered ${response.status}`);
  }
  return response.json();
}

// A member with a default may be left out of a request.
const made = COMMENT_HEADER + astToString(await openapiTS(await document(), { defaultNonNullable: false }));
if (!process.argv.includes("--check")) {
  await writeFile(target, made);
} else if ((await readFile(target, "utf8")) !== made) {
  process.stderr.write("src/api/schema.d.ts is not what the service describes: npm run types\n");
  process.exitCode = 1;
}
