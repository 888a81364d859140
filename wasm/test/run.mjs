#!/usr/bin/env node
/**
 * Tests of the npm package, from the tarball that users would install.
 *
 * WEFT_TARBALL       the tarball (default: npm/weft-gpu-VERSION.tgz in cargo's target folder)
 * WEFT_CHROMIUM      the browser (default: /usr/bin/chromium)
 * WEFT_VAD_WEIGHTS, WEFT_VAD_SAMPLE
 *                    what `cargo run --release --example vad -- --fetch-only` prints; without them the
 *                    voice activity detection is not tested
 * WEFT_SCREENSHOT    where to put a picture of the test page
 */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { browserChecks } from "./browser.mjs";
import { harnessChecks } from "./harness-checks.mjs";
import { manifestChecks } from "./manifest-checks.mjs";
import { GOLDEN, material } from "./material.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const { version } = JSON.parse(fs.readFileSync(path.join(here, "../package.json"), "utf8"));

function tarball() {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(here, "../../target");
  const file = path.resolve(process.env.WEFT_TARBALL ?? path.join(target, `npm/weft-gpu-${version}.tgz`));
  if (!fs.existsSync(file)) throw new Error(`there is no ${file}: \`cargo xtask npm\` makes it, or set WEFT_TARBALL`);
  return file;
}

/** A folder with the package installed as a user would, and the tests that import it. */
function installed(file) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "weft-npm-"));
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  execFileSync(npm, ["install", "--no-audit", "--no-fund", "--omit=peer", "--loglevel=error", file], { cwd: folder, stdio: "inherit" });
  for (const name of fs.readdirSync(here).filter((name) => /\.(mjs|ts)$/.test(name))) fs.copyFileSync(path.join(here, name), path.join(folder, name));
  // The optional peer, which a user who wants it installs.
  fs.symlinkSync(path.join(here, "../node_modules/webgpu"), path.join(folder, "node_modules/webgpu"), "junction");
  return folder;
}

/** WebGPU in Node: in a process of its own, because Dawn takes its driver from the environment. */
function nodeGpuChecks(folder) {
  const swiftshader = "/usr/lib/chromium/vk_swiftshader_icd.json";
  const driver = fs.existsSync(swiftshader) ? { VK_DRIVER_FILES: swiftshader, VK_ICD_FILENAMES: swiftshader } : {};
  const env = { XDG_RUNTIME_DIR: os.tmpdir(), ...process.env, ...driver, WEFT_VAD_GOLDEN: GOLDEN };
  const out = path.join(folder, "node-gpu.json");
  execFileSync(process.execPath, ["node-gpu.mjs", out], { cwd: folder, env, stdio: "inherit" });
  return JSON.parse(fs.readFileSync(out, "utf8"));
}

const file = tarball();
const folder = installed(file);
const given = material();
let rows;
try {
  const { nodeChecks } = await import(pathToFileURL(path.join(folder, "node-checks.mjs")));
  rows = [await harnessChecks(), await manifestChecks(file, folder), ...(await nodeChecks(given)), ...nodeGpuChecks(folder)];
  const served = given && {
    "vad.safetensors": Buffer.from(given.weights),
    "sample.f32": Buffer.from(given.samples.buffer),
    "golden.json": Buffer.from(JSON.stringify({ probabilities: given.probabilities })),
  };
  rows.push(...(await browserChecks(path.join(folder, "node_modules"), served, process.env.WEFT_SCREENSHOT)));
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}

console.log(`\n${path.basename(file)}`);
let failed = 0;
for (const { where, variant, adapter, info, results } of rows) {
  console.log(`\n${where}, ${variant}${adapter ? `, ${adapter}` : ""}${info.reason ? ` (no WebGPU: ${info.reason})` : ""}`);
  for (const { name, ms, error } of results) {
    console.log(error ? `  FAILED ${name}\n    ${error.replaceAll("\n", "\n    ")}` : `  ok     ${name} (${ms} ms)`);
    if (error) failed++;
  }
}
if (!given) console.log("\nThe voice activity detection was not tested: set WEFT_VAD_WEIGHTS and WEFT_VAD_SAMPLE.");
const total = rows.reduce((sum, { results }) => sum + results.length, 0);
console.log(`\n${total - failed} of ${total} checks passed`);
process.exitCode = failed ? 1 : 0;
