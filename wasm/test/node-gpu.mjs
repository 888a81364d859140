/** The checks on WebGPU in Node: node-gpu.mjs OUT.json, in the folder where the package is installed. */

import fs from "node:fs";
import { brief, cases, direct, vadCases } from "./cases.mjs";
import { adapterName, run } from "./harness.mjs";
import { latticeChecks } from "./lattice-cases.mjs";
import { material } from "./material.mjs";
import * as weft from "weft-gpu";
import { provideWebGpu } from "weft-gpu/node";

await provideWebGpu();
const whole = material();
const rows = [];
for (const [variant, options] of Object.entries({ "webgpu plain": {}, "webgpu subgroups": { subgroups: true } })) {
  const gpu = await weft.createContext({ backend: "webgpu", ...options });
  const results = await run({ ...cases, ...latticeChecks, ...(whole && vadCases) }, direct(weft), gpu, whole && brief(whole));
  rows.push({ where: "Node", variant, adapter: adapterName(gpu.info), info: gpu.info, results });
  gpu.dispose();
}
fs.writeFileSync(process.argv[2], JSON.stringify(rows));
process.exit(0);
