/**
 * The checks in Node, where the package is installed. Copied there by run.mjs, so that the import below
 * finds the installed package and nothing else.
 */

import { cases, direct, longVadCases, vadCases } from "./cases.mjs";
import { fails, run } from "./harness.mjs";
import { latticeChecks } from "./lattice-cases.mjs";
import { everywhere, withoutWebGpu } from "./package-cases.mjs";
import * as weft from "weft-gpu";

const memory = {
  async "more than memory holds is refused, and the context stays usable"() {
    const gpu = await weft.createContext({ backend: "cpu" });
    const loss = new weft.TransducerLoss({ gpu });
    // Its pages are never touched: the machine need not have them.
    const huge = { logits: new Float32Array(600_000_000), shape: [1, 1, 1, 600_000_000], targets: [], frames: [1], labels: [0] };
    await fails("OutOfMemoryError", "2400000000 B", () => loss.run(huge));
    await cases["loss: published cost and gradient"](direct(weft), gpu);
  },
};

export async function nodeChecks(material) {
  const gpu = await weft.createContext({ backend: "cpu" });
  const operations = await run({ ...cases, ...latticeChecks, ...(material && { ...vadCases, ...longVadCases }) }, direct(weft), gpu, material);
  return [
    { where: "Node", variant: "package", adapter: "", info: await weft.isSupported(), results: await run({ ...everywhere, ...withoutWebGpu, ...memory }, weft) },
    { where: "Node", variant: "cpu", adapter: gpu.info.adapter, info: gpu.info, results: operations },
  ];
}
