/** The last step of the build: what a page loads is made small. Comments stay in the `.d.ts`. */

import fs from "node:fs";
import { buildSync } from "esbuild";

const ours = fs.readdirSync("dist").filter((name) => name.endsWith(".js")).map((name) => `dist/${name}`);
const common = { allowOverwrite: true, format: "esm", target: "es2022", outbase: ".", outdir: ".", legalComments: "none" };

// The names of our classes stand in messages and in stack traces.
buildSync({ ...common, entryPoints: ours, minifyWhitespace: true, minifySyntax: true });
buildSync({ ...common, entryPoints: ["generated/weft_wasm.js"], minify: true });
