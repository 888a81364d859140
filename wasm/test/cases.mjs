/** The checks of every operation on one context; `weft` is the package, or a worker's stand-in for it. */

import { assert, close, fails, random, same } from "./harness.mjs";
import { recurrent, small, smallCost, smallCostBlank4, smallGradient } from "./oracle.mjs";

/** Costs and gradients of small lattices are right to a few roundings of f32. */
const LOSS = 2e-6;
/** Sums of a dozen f32 products, through the device's own exp. */
const CELL = 1e-5;

async function usable(weft, gpu) {
  const loss = await weft.loss(gpu, { gradients: true });
  const { costs, gradients, status } = await loss.run(small);
  close("cost", costs, [smallCost], LOSS);
  close("gradient", gradients, smallGradient, LOSS);
  same("status", status, ["ok"]);
  loss.dispose();
}

function layer(kind, seed, inputSize = 5, hiddenSize = 6) {
  const draw = random(seed);
  const rows = (kind === "lstm" ? 4 : 3) * hiddenSize;
  return {
    inputSize,
    hiddenSize,
    weightIh: draw(rows * inputSize),
    weightHh: draw(rows * hiddenSize),
    biasIh: draw(rows),
    biasHh: draw(rows),
  };
}

async function cell(weft, gpu, kind) {
  const weights = layer(kind, 7);
  const made = await weft[kind](gpu, weights);
  const shape = [7, 3, 5];
  const input = { x: random(8)(7 * 3 * 5, 2), shape, lengths: [7, 4, 0] };
  const expected = recurrent(kind, weights, input);
  const out = await made.forward(input);
  same("shape of y", out.shape, [7, 3, 6]);
  close("y", out.y, expected.y, CELL);
  close("h", await out.state.h(), expected.state[0], CELL);
  if (kind === "lstm") close("c", await out.state.c(), expected.state[1], CELL);

  // Frame by frame, the state carried on: the same, to the bit.
  const whole = await made.forward({ x: input.x, shape });
  let state;
  for (let t = 0; t < 7; t++) {
    const step = await made.forward({ x: input.x.slice(t * 15, t * 15 + 15), shape: [1, 3, 5], state });
    same(`y of frame ${t}`, step.y, whole.y.slice(t * 18, t * 18 + 18));
    state = step.state;
  }
  same("last state", await state.h(), await whole.state.h());

  const bare = { ...weights, biasIh: undefined, biasHh: undefined };
  const plain = await weft[kind](gpu, bare);
  close("y without biases", (await plain.forward(input)).y, recurrent(kind, bare, input).y, CELL);
  made.dispose();
  plain.dispose();
}

export const cases = {
  "loss: published cost and gradient": usable,

  async "loss: any blank"(weft, gpu) {
    const loss = await weft.loss(gpu, { blank: 4 });
    const out = await loss.run(small);
    close("cost", out.costs, [smallCostBlank4], LOSS);
    assert(out.gradients === undefined, "gradients that nobody asked for");
  },

  async "loss: lengths, and bad utterances beside good ones"(weft, gpu) {
    const loss = await weft.loss(gpu, { gradients: true });
    const size = small.logits.length;
    const logits = new Float32Array(5 * size);
    for (let n = 0; n < 5; n++) logits.set(small.logits, n * size);
    logits[size + 3] = NaN;
    logits[2 * size] = Infinity;
    // Utterance 4 has one label fewer than its targets have room for.
    const batch = { logits, shape: [5, 2, 3, 5], targets: [1, 2, 1, 2, 1, 2, 1, 2, 1, 9], frames: [2, 2, 2, 0, 2], labels: [2, 2, 2, 2, 1] };
    const { costs, status, gradients } = await loss.run(batch);
    same("status", status, ["ok", "non-finite", "non-finite", "empty", "ok"]);
    close("cost 0", costs.slice(0, 1), [smallCost], LOSS);
    same("costs of the bad", costs.slice(1, 4), [NaN, NaN, Infinity]);
    close("gradient 0", gradients.slice(0, size), smallGradient, LOSS);
    assert(gradients.slice(size, 4 * size).every((g) => g === 0), "a gradient that is not zero");
    const alone = await loss.run({ ...batch, logits: small.logits, shape: [1, 2, 3, 5], targets: [1, 0], frames: [2], labels: [1] });
    same("cost 4", costs.slice(4), alone.costs);
    same("empty batch", (await loss.run({ logits: new Float32Array(0), shape: [0, 2, 3, 5], targets: [], frames: [], labels: [] })).costs, []);
  },

  "LSTM: f64 reference, lengths, streaming": (weft, gpu) => cell(weft, gpu, "lstm"),
  "GRU: f64 reference, lengths, streaming": (weft, gpu) => cell(weft, gpu, "gru"),

  async "bad input has its own error, and the context stays usable"(weft, gpu) {
    const loss = await weft.loss(gpu, { gradients: true });
    const wrong = (change) => () => loss.run({ ...small, ...change });
    await fails("ShapeError", ["30", "60"], wrong({ shape: [1, 4, 3, 5] }));
    await fails("ShapeError", "4 sides", wrong({ shape: [1, 2, 15] }));
    await fails("LengthError", "labels[0] = 2", wrong({ targets: [1] }));
    await fails("ShapeError", ["frames", "2 values"], wrong({ frames: [2, 2] }));
    await fails("LengthError", ["frames[0] = 3", "2"], wrong({ frames: [3] }));
    await fails("LengthError", ["labels[0] = 3", "2"], wrong({ labels: [3] }));
    await fails("LabelError", ["targets[0][1] = 5", "vocabulary 5"], wrong({ targets: [1, 5] }));
    await fails("LabelError", ["targets[0][0] = 0", "blank"], wrong({ targets: [0, 1] }));
    await fails("ValueError", "targets[1] = -1", wrong({ targets: [1, -1] }));
    await fails("ValueError", "frames[0] = 1.5", wrong({ frames: [1.5] }));
    await fails("ValueError", "logits", wrong({ logits: undefined }));
    await fails("ValueError", "blank = 5", async () => (await weft.loss(gpu, { blank: 5 })).run(small));
    await fails("ValueError", "blank[0] = -1", () => weft.loss(gpu, { blank: -1 }));
    await usable(weft, gpu);

    for (const kind of ["lstm", "gru"]) {
      const weights = layer(kind, 9);
      await fails("ShapeError", "weightHh", () => weft[kind](gpu, { ...weights, weightHh: weights.weightHh.slice(1) }));
      await fails("ShapeError", "biasHh", () => weft[kind](gpu, { ...weights, biasHh: undefined }));
      await fails("ValueError", "inputSize", () => weft[kind](gpu, { ...weights, inputSize: 0 }));
      const made = await weft[kind](gpu, weights);
      await fails("ShapeError", ["x", "[T, N, 5]"], () => made.forward({ x: new Float32Array(8), shape: [2, 1, 4] }));
      await fails("ShapeError", "lengths", () => made.forward({ x: new Float32Array(10), shape: [2, 1, 5], lengths: [1, 1] }));
      await fails("LengthError", "lengths[0] = 3", () => made.forward({ x: new Float32Array(10), shape: [2, 1, 5], lengths: [3] }));
      const { state } = await made.forward({ x: new Float32Array(10), shape: [1, 2, 5] });
      await fails("ShapeError", "state", () => made.forward({ x: new Float32Array(5), shape: [1, 1, 5], state }));
      made.dispose();
      await fails("DisposedError", "disposed", () => made.forward({ x: new Float32Array(10), shape: [1, 2, 5] }));
    }
    loss.dispose();
    await fails("DisposedError", "disposed", () => loss.run(small));
    await usable(weft, gpu);
  },

  async "a signal ends a call with its reason"(weft, gpu) {
    const loss = await weft.loss(gpu, { gradients: true });
    const reason = new Error("no longer wanted");
    const heard = async (work) => {
      const caught = await work.then(() => undefined, (error) => error);
      assert(caught === reason, `ended with ${caught}, not with the signal's reason`);
    };
    await heard(loss.run(small, { signal: AbortSignal.abort(reason) }));
    const later = new AbortController();
    const running = loss.run(small, { signal: later.signal });
    later.abort(reason);
    await heard(running);
    await usable(weft, gpu);
  },
};

/** Checks of voice activity detection; `material` has a weights file, samples and the probabilities that they have. */
export const vadCases = {
  async "VAD: probabilities of the sample recording"(weft, gpu, { weights, samples, probabilities }) {
    const vad = await weft.vad(gpu, weights);
    const told = [];
    const got = await vad.probabilities(samples, { onProgress: ({ done, total }) => told.push([done, total]) });
    same("frames", [got.length], [Math.floor(samples.length / 512)]);
    close("probabilities", got.slice(0, probabilities.length), probabilities, weft.backend(gpu) === "cpu" ? 1e-5 : 1e-4);
    same("last progress", told.at(-1), [samples.length, samples.length]);
    same("times that progress was told", [told.length], [Math.ceil(samples.length / (320 * 512))]);
    const found = await weft.segments(gpu, got, samples.length);
    assert(found.length > 0 && found.every(({ start, end }) => end > start), `segments: ${JSON.stringify(found)}`);
  },

  async "VAD: pieces of any length"(weft, gpu, { weights, samples, probabilities }) {
    const vad = await weft.vad(gpu, weights);
    const stream = await vad.stream();
    const part = samples.slice(0, 20 * 512);
    const got = [];
    for (let at = 0, length = 1; at < part.length; at += length, length = (length * 7 + 1) % 3000 || 1) {
      got.push(stream.push(part.slice(at, at + length)));
    }
    const all = (await Promise.all(got)).flatMap((piece) => [...piece]);
    close("probabilities", all, probabilities.slice(0, 20), 1e-4);
    await stream.reset();
    same("after reset", await stream.push(part), all);
  },

  async "VAD: bad weights and bad samples"(weft, gpu, { weights, samples }) {
    await fails("WeightsError", "0 B", () => weft.vad(gpu, new ArrayBuffer(0)));
    await fails("WeightsError", "truncated", () => weft.vad(gpu, weights.slice(0, weights.byteLength / 2)));
    await fails("WeightsError", "weights", () => weft.vad(gpu, new Uint8Array(5000).fill(65)));
    const vad = await weft.vad(gpu, weights);
    const bad = samples.slice();
    bad[600] = NaN;
    await fails("ValueError", ["600", "NaN"], () => vad.probabilities(bad));
    await usable(weft, gpu);
  },
};

/** Checks that take several pieces of a recording. */
export const longVadCases = {
  async "VAD: a signal ends a recording between two pieces"(weft, gpu, { weights, samples }) {
    const vad = await weft.vad(gpu, weights);
    const reason = new Error("enough");
    const stop = new AbortController();
    const work = vad.probabilities(samples, { signal: stop.signal, onProgress: () => stop.abort(reason) });
    assert((await work.then(() => undefined, (error) => error)) === reason, "an abort was not heard");
  },
};

/** The begin of the recording only. */
export const brief = ({ weights, samples, probabilities }) => ({
  weights,
  samples: samples.slice(0, 40 * 512),
  probabilities: probabilities.slice(0, 40),
});

/** The package itself, in the form that the checks use. */
export const direct = (weft) => ({
  backend: (gpu) => gpu.info.backend,
  loss: async (gpu, options) => new weft.TransducerLoss({ gpu, ...options }),
  ctc: async (gpu, options) => new weft.CtcLoss({ gpu, ...options }),
  lstm: async (gpu, weights) => weft.Lstm.create(gpu, weights),
  gru: async (gpu, weights) => weft.Gru.create(gpu, weights),
  vad: (gpu, source) => weft.Vad.load(source, { gpu }),
  segments: async (_, ...args) => weft.segments(...args),
});

/** The package's worker: `gpu` is a `WeftWorker`. */
export const far = {
  backend: (gpu) => gpu.info.backend,
  loss: (gpu, options) => gpu.transducerLoss(options),
  ctc: (gpu, options) => gpu.ctcLoss(options),
  lstm: (gpu, weights) => gpu.createLstm(weights),
  gru: (gpu, weights) => gpu.createGru(weights),
  vad: (gpu, source) => gpu.loadVad(source),
  segments: (gpu, ...args) => gpu.segments(...args),
};
