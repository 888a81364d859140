/** What linters of npm packages say of the tarball. */

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { run } from "./harness.mjs";

function tool(script, ...args) {
  const path = fileURLToPath(new URL(`../node_modules/${script}`, import.meta.url));
  try {
    execFileSync(process.execPath, [path, ...args], { encoding: "utf8", stdio: "pipe" });
  } catch ({ stdout, stderr }) {
    throw new Error(stdout + stderr);
  }
}

/** `folder` is where the tarball is installed. */
export async function manifestChecks(tarball, folder) {
  const checks = {
    "publint: exports and files": () => tool("publint/src/cli.js", tarball, "--strict"),
    "attw: types for every way to resolve them": () =>
      tool("@arethetypeswrong/cli/dist/index.js", tarball, "--profile", "esm-only", "--exclude-entrypoints", "weft_bg.wasm"),
    // The oldest libraries that have all that the declarations name, and no leniency towards them.
    "tsc: a user's program": () =>
      tool("typescript/bin/tsc", `${folder}/user.ts`, ..."--ignoreConfig --strict --noEmit --exactOptionalPropertyTypes --target es2022 --module nodenext --lib es2022,dom".split(" ")),
  };
  return { where: "tarball", variant: "manifest", adapter: "", info: {}, results: await run(checks) };
}
