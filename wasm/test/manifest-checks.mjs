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

export async function manifestChecks(tarball) {
  const checks = {
    "publint: exports and files": () => tool("publint/src/cli.js", tarball, "--strict"),
    "attw: types for every way to resolve them": () =>
      tool("@arethetypeswrong/cli/dist/index.js", tarball, "--profile", "esm-only", "--exclude-entrypoints", "weft_bg.wasm"),
  };
  return { where: "tarball", variant: "manifest", adapter: "", info: {}, results: await run(checks) };
}
