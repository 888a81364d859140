/**
 * The checks in Node, where the package is installed. Copied there by run.mjs, so that the import below
 * finds the installed package and nothing else.
 */

import { cases, direct, longVadCases, vadCases } from "./cases.mjs";
import { run } from "./harness.mjs";
import { everywhere, withoutWebGpu } from "./package-cases.mjs";
import * as weft from "weft-gpu";

export async function nodeChecks(material) {
  const gpu = await weft.createContext({ backend: "cpu" });
  const operations = await run({ ...cases, ...(material && { ...vadCases, ...longVadCases }) }, direct(weft), gpu, material);
  return [
    { where: "Node", variant: "package", adapter: "", info: await weft.isSupported(), results: await run({ ...everywhere, ...withoutWebGpu }, weft) },
    { where: "Node", variant: "cpu", adapter: gpu.info.adapter, info: gpu.info, results: operations },
  ];
}
