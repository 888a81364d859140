/** A user's program: it only has to compile, against the declarations in the tarball. */

import { Arc, Band, type Context, CtcLoss, type Kind, Lstm, type LossStatus, TransducerLoss, Vad, WILDCARD, createContext, isSupported, segments } from "weft-gpu";
import { provideWebGpu } from "weft-gpu/node";
import { WeftWorker } from "weft-gpu/worker";

export async function onThePage(): Promise<string[]> {
  const gpu: Context = await createContext({ backend: "auto" });
  const loss = new TransducerLoss({ gpu, gradients: true });
  const batch = { logits: new Float32Array(30), shape: [1, 2, 3, 5] as const, targets: [1, 2], frames: [2], labels: Uint8Array.of(2) };
  const { costs, status, gradients } = await loss.run(batch, { signal: AbortSignal.timeout(1000) });
  const first: LossStatus | undefined = status[0];
  const lstm = await Lstm.load("encoder.safetensors", { gpu, prefix: "encoder.0" });
  const { y, state } = await lstm.forward({ x: new Float32Array(4), shape: [1, 1, 4] });
  const next = await lstm.forward({ x: y, shape: [1, 1, 4], state });
  const vad = await Vad.load(new URL("https://example.org/vad.safetensors"), { gpu, onProgress: ({ loaded, total }) => loaded / (total ?? 1) });
  const times = segments(await vad.probabilities(new Float32Array(512)), 512).map(({ start }) => start.toFixed(2));
  await vad.stream().push(new Float32Array(512));
  return [...times, String(costs[0]), String(gradients?.[0]), String(first), String((await next.state.c())[0]), gpu.info.adapter];
}

export async function lattices(gpu: Context): Promise<(number | undefined)[]> {
  const kinds: Kind[] = [{ type: "hat" }, { type: "tdt", durations: [0, 1], sometimesRnnt: 0.1 }, { type: "custom", arcs: [Arc.stay(1, 0), Arc.label(1)] }];
  const scores = { shape: [1, 1, 2, 3] as const, targets: [WILDCARD], frames: [1], labels: [1], bands: [Band.around([1], 1)], seed: 1n };
  const found = kinds.map(async (kind) => {
    using loss = new TransducerLoss({ gpu, kind, fastEmit: { costScaled: 0.01 }, reduction: "meanFrames", eosPenalty: { symbol: 2, penalty: 1 } });
    const { loss: mean, lattices } = await loss.lattice({ logProbs: new Float32Array(6), ...scores });
    return mean ?? lattices.bestPath(0)?.emissions[0]?.frame;
  });
  // @ts-expect-error TDT needs durations
  const wrong: Kind = { type: "tdt" };
  // @ts-expect-error logits or log-probabilities
  await new TransducerLoss({ gpu, kind: wrong }).run({ logits: new Float32Array(6), logProbs: new Float32Array(6), ...scores });
  const ctc = new CtcLoss({ gpu, alignments: true });
  const { alignments } = await ctc.run({ logits: new Float32Array(6), shape: [1, 2, 3], targets: [1], frames: [2], labels: [1] });
  return [...(await Promise.all(found)), alignments?.[0]?.labels[0]?.first];
}

export async function inAWorker(): Promise<Float32Array> {
  const worker = await WeftWorker.start({ subgroups: true });
  const weights = { inputSize: 1, hiddenSize: 1, weightIh: new Float32Array(3), weightHh: new Float32Array(3) };
  const gru = await worker.createGru(weights);
  const { state } = await gru.forward({ x: new Float32Array(1), shape: [1, 1, 1] });
  const loss = await worker.transducerLoss({ kind: { type: "monotonic" } });
  const { lattices } = await loss.lattice({ gathered: new Float32Array(4), shape: [1, 1, 2, 2], targets: [1], frames: [1], labels: [1] });
  await lattices.kBest(0, 2);
  // @ts-expect-error a GRU has no c
  await state.c();
  return state.h();
}

export async function elsewhere(): Promise<boolean> {
  await provideWebGpu(["enable-dawn-features=allow_unsafe_apis"]);
  // @ts-expect-error no such backend
  await createContext({ backend: "gpu" });
  return (await isSupported()).supported;
}
