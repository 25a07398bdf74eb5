// Makes package-lock.json anew (`npm run lock`), or with --check says what is wrong with the one that is there.
// The lock names no host, so that packages come from whichever registry a machine uses; it has the hash of each; and
// it has the packages of every platform, which npm leaves out without a word when a registry lacks one of them.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const path = join(root, "package-lock.json");

if (!process.argv.includes("--check")) {
  // In an empty folder: next to installed packages npm copies from those, which know neither hashes nor other platforms.
  const empty = mkdtempSync(join(tmpdir(), "lock-"));
  for (const name of ["package.json", ".npmrc"]) {
    copyFileSync(join(root, name), join(empty, name));
  }
  execFileSync("npm", ["install", "--package-lock-only"], { cwd: empty, stdio: "inherit" });
  const lock = JSON.parse(readFileSync(join(empty, "package-lock.json"), "utf8"));
  rmSync(empty, { recursive: true });
  for (const each of Object.values(lock.packages)) {
    // Where to thank the authors is the only thing in a lock that is an address. It is in their own package.json too.
    delete each.funding;
  }
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
}

const text = readFileSync(path, "utf8");
const packages = Object.entries(JSON.parse(text).packages).filter(([place]) => place !== "");
const names = new Set(packages.map(([place]) => place.replace(/^.*node_modules\//, "")));
const wrong = [
  ...(text.includes("://") ? ["an address"] : []),
  ...packages.filter(([, each]) => !each.integrity).map(([place]) => `no hash: ${place}`),
  ...packages
    .flatMap(([, each]) => Object.keys(each.optionalDependencies ?? {}))
    .filter((name) => !names.has(name))
    .map((name) => `not there: ${name}`),
];
for (const each of wrong) {
  process.stderr.write(`package-lock.json has ${each}\n`);
}
process.exitCode = wrong.length > 0 ? 1 : 0;
