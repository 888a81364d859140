/**
 * The last step of the build: what a page loads is put into dist/ and made small. Comments stay in the `.d.ts`.
 *
 * The WebAssembly and its glue call each other's functions by 250 names, most with a hash, which do not
 * compress: wasm-opt gives them short names, and this gives the same to the glue.
 */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { buildSync, transformSync } from "esbuild";

const FEATURES = ["bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext", "simd"];

function wasmOpt(...args) {
  const features = FEATURES.map((feature) => `--enable-${feature}`);
  return execFileSync(process.execPath, ["node_modules/binaryen/bin/wasm-opt", ...features, ...args], { encoding: "utf8" });
}

/** The glue, with the names of wasm-opt's listing, and without the functions that it found nobody to call. */
function renamed(glue, { imports, exports }) {
  const [functions, fields] = [new Map(imports.map(([, from, to]) => [from, to])), new Map(exports)];
  const found = new Set();
  const text = glue
    .replaceAll(/(?<![\w$])wasm\.(\w+)/g, (_, from) => {
      if (!fields.has(from)) throw new Error(`the glue calls ${from}, which the WebAssembly does not have`);
      return `wasm.${fields.get(from)}`;
    })
    .replaceAll(/^ {8}(__wb\w+)(:[^]*?^ {8}\}.*\n)/gm, (_, from, body) => {
      found.add(from);
      return functions.has(from) ? functions.get(from) + body : "";
    })
    .replaceAll(/^ {8}"\.\/\w+_bg\.js":/gm, "a:");
  const lost = [...functions.keys()].filter((name) => !found.has(name));
  if (lost.length > 0) throw new Error(`the WebAssembly calls ${lost.join(", ")}, which the glue does not have`);
  return text;
}

const listing = wasmOpt("--minify-imports-and-exports-and-modules", "generated/weft_wasm_bg.wasm", "-o", "dist/weft_wasm_bg.wasm");
const glue = renamed(fs.readFileSync("generated/weft_wasm.js", "utf8"), JSON.parse(listing));
const options = { format: "esm", target: "es2022", legalComments: "none", minifyWhitespace: true, minifySyntax: true };
fs.writeFileSync("dist/weft_wasm.js", transformSync(glue, { ...options, minifyIdentifiers: true }).code);

// What the entries share lies in files of its own. The names of our own classes stand in messages and in stack traces.
const entries = ["index", "worker", "worker-main", "node"].map((name) => `dist/${name}.js`);
const { outputFiles } = buildSync({ ...options, entryPoints: entries, outdir: "dist", bundle: true, splitting: true, chunkNames: "shared-[hash]", write: false });
for (const file of fs.readdirSync("dist").filter((file) => file.endsWith(".js"))) fs.rmSync(`dist/${file}`);
for (const { path, contents } of outputFiles) fs.writeFileSync(path, contents);
