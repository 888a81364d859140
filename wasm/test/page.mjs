/** What the test page runs. Called by browser.mjs, one backend at a time. */

import { brief, cases, direct, far, longVadCases, vadCases } from "./cases.mjs";
import { run } from "./harness.mjs";
import { latticeChecks } from "./lattice-cases.mjs";
import { everywhere, withWebGpu, withoutWebGpu } from "./package-cases.mjs";

const weft = await import("weft-gpu");
const { WeftWorker } = await import("weft-gpu/worker");

/** Weights, samples and known probabilities, if the server has them. */
async function material() {
  const answers = await Promise.all(["vad.safetensors", "sample.f32", "golden.json"].map((name) => fetch(`/material/${name}`)));
  if (!answers.every(({ ok }) => ok)) return undefined;
  const [weights, samples, golden] = answers;
  return { weights: await weights.arrayBuffer(), samples: new Float32Array(await samples.arrayBuffer()), probabilities: (await golden.json()).probabilities };
}

globalThis.packageChecks = async (gpu) => ({ info: await weft.isSupported(), results: await run({ ...everywhere, ...(gpu ? withWebGpu : withoutWebGpu) }, weft) });

/** Every operation on one context, here or in the package's worker. */
globalThis.operationChecks = async (options, place) => {
  const [stand, gpu] = place === "worker" ? [far, await WeftWorker.start(options)] : [direct(weft), await weft.createContext(options)];
  const whole = await material();
  // The whole recording takes software GPUs half a minute: in the page only.
  const cpu = gpu.info.backend === "cpu";
  const given = whole && place === "worker" && !cpu ? brief(whole) : whole;
  const results = await run({ ...cases, ...latticeChecks, ...(given && vadCases), ...(given && cpu && longVadCases) }, stand, gpu, given);
  gpu.dispose();
  return { info: gpu.info, results };
};

/** Weights by address, with progress; only a page has addresses. */
globalThis.fetchChecks = () =>
  run({
    async "VAD: weights by address"() {
      const worker = await WeftWorker.start({ backend: "cpu" });
      const told = [];
      const vad = await worker.loadVad("material/vad.safetensors", { onProgress: ({ loaded, total }) => told.push([loaded, total]) });
      const [loaded, total] = told.at(-1) ?? [];
      if (!(loaded > 1_000_000 && loaded === total)) throw new Error(`progress: ${JSON.stringify(told)}`);
      vad.dispose();
      const wrong = await worker.loadVad("material/nothing").then(() => undefined, (error) => error);
      if (wrong?.name !== "WeightsError" || !wrong.message.includes("404")) throw new Error(`${wrong}`);
      worker.dispose();
    },
  });

globalThis.ready = true;
