/** The checks of the kinds of lattices, of their options, and of CTC. */

import { assert, close, fails, same } from "./harness.mjs";
import { cost, gradient, sines } from "./lattice-oracle.mjs";
import { small, smallCost, smallGradient } from "./oracle.mjs";

/** Costs and gradients of small lattices, to a few roundings of f32. */
const LOSS = 3e-6;
const WILDCARD = 0xffff_ffff;

const stay = (frames, token) => ({ frames, labels: 0, token, mayEnd: true });
const label = (frames) => ({ frames, labels: 1, token: "nextLabel" });
const free = (frames, labels, constant) => ({ frames, labels, token: "none", constant });
const rnntArcs = (blank) => [stay(1, blank), label(0)];
const channels = (blank, durations) => [
  ...durations.flatMap((d, duration) => (d > 0 ? [{ ...stay(d, blank), duration }] : [])),
  ...durations.map((d, duration) => ({ ...label(d), duration })),
];

/** T 4, U 2, [1, 2], logits from a sine: a kind, its arcs for the oracle, and the cost where somebody published it. */
const sample = (vocab, blank, more) => ({ frames: 4, target: [1, 2], vocab, blank, ...more });
const durations = [0, 1, 2];
const bigBlanks = [[4, 2], [3, 4]];
export const kinds = {
  rnnt: [{ type: "rnnt" }, sample(3, 0, { arcs: rnntArcs(0) }), 4.449110981282546],
  hat: [{ type: "hat" }, sample(3, 0, { arcs: rnntArcs(0), hat: true })],
  monotonic: [{ type: "monotonic" }, sample(3, 0, { arcs: [stay(1, 0), { ...label(1), mayEnd: true }] })],
  constrained: [{ type: "constrained" }, sample(3, 0, { arcs: [stay(1, 0), { ...label(1), mayEnd: true, then: 0 }] })],
  multiBlank: [
    { type: "multiBlank", bigBlanks, underNormalised: 0.05 },
    sample(6, 5, { arcs: [...rnntArcs(5), stay(2, 4), stay(4, 3)], sigma: 0.05 }),
    5.05683156649822,
  ],
  tdt: [{ type: "tdt", durations, underNormalised: 0.05 }, sample(4, 3, { arcs: channels(3, durations), durations, sigma: 0.05 }), 5.813881474651289],
  "tdt that is always rnnt": [{ type: "tdt", durations, sometimesRnnt: 1 }, sample(4, 3, { arcs: rnntArcs(3), durations })],
  star: [{ type: "star", weight: -1 }, sample(3, 0, { arcs: [...rnntArcs(0), free(1, 0, -1)] })],
  bypass: [{ type: "bypass", weight: -0.5 }, sample(3, 0, { arcs: [...rnntArcs(0), free(0, 1, -0.5)] })],
  bypassOthers: [{ type: "bypassOthers", weight: -0.5 }, sample(3, 0, { arcs: [...rnntArcs(0), { ...free(0, 1, -0.5), token: "others" }] })],
  targetRobust: [
    { type: "targetRobust", frameWeight: -1, labelWeight: -2 },
    sample(3, 0, { arcs: [...rnntArcs(0), free(1, 0, -1), free(0, 1, -2)] }),
  ],
  "wTransducer to the end": [{ type: "wTransducer", weight: -0.7, exit: "end" }, sample(3, 0, { arcs: rnntArcs(0), entry: -0.7, exit: [-0.7, "end"] })],
  "wTransducer to the last frame": [
    { type: "wTransducer", weight: -0.7, exit: "lastFrame" },
    sample(3, 0, { arcs: rnntArcs(0), entry: -0.7, exit: [-0.7, "lastFrame"] }),
  ],
  custom: [
    { type: "custom", arcs: channels(3, durations), durations, withArcs: [free(2, 1, -3)] },
    sample(4, 3, { arcs: [...channels(3, durations), free(2, 1, -3)], durations }),
  ],
  "rnnt with the blank apart": [{ type: "custom", arcs: rnntArcs(0), withHat: true }, sample(3, 0, { arcs: rnntArcs(0), hat: true })],
};

/** An oracle's lattice as a batch of one. */
function batch(given, more) {
  const { logits, frames, target, vocab, durations = [] } = given;
  const shape = [1, frames, target.length + 1, vocab + durations.length];
  return { logits: Float32Array.from(logits), shape, targets: target, frames: [frames], labels: [target.length], ...more };
}

const withSines = (given) => ({ ...given, logits: sines(0, [given.frames, given.target.length + 1, given.vocab + (given.durations?.length ?? 0)]) });

async function against(weft, gpu, options, given, more) {
  const loss = await weft.loss(gpu, { blank: given.blank, gradients: true, ...options });
  const out = await loss.run(batch(given, more));
  same("status", out.status, ["ok"]);
  close("cost", out.costs, [cost(given)], LOSS);
  close("gradient", out.gradients, gradient(given), LOSS);
  loss.dispose();
  return out;
}

/** A case a kind: { "kind: tdt": … }. */
export const kindCases = Object.fromEntries(
  Object.entries(kinds).map(([name, [kind, given, published]]) => [
    `kind: ${name}`,
    async (weft, gpu) => {
      const lattice = withSines(given);
      if (published !== undefined) close("the oracle's cost", [cost(lattice)], [published], 1e-12);
      await against(weft, gpu, { kind }, lattice);
    },
  ]),
);

/** The first utterance of warp-transducer's options_test, T 4, U1 3, V 3. */
// prettier-ignore
const options4 = [
  0.065357, 0.787530, 0.081592, 0.529716, 0.750675, 0.754135, 0.609764, 0.868140, 0.622532, 0.668522, 0.858039, 0.164539,
  0.989780, 0.944298, 0.603168, 0.946783, 0.666203, 0.286882, 0.094184, 0.366674, 0.736168, 0.166680, 0.714154, 0.399400,
  0.535982, 0.291821, 0.612642, 0.324241, 0.800764, 0.524106, 0.779195, 0.183314, 0.113745, 0.240222, 0.339470, 0.134160,
];
const published = sample(3, 0, { arcs: rnntArcs(0), logits: options4 });

/** monotonic-rnnt's probabilities, T 4, U1 3, V 3. */
// prettier-ignore
const monotonic = [
  0.6, 0.3, 0.1, 0.7, 0.1, 0.2, 0.5, 0.1, 0.4, 0.5, 0.4, 0.1, 0.5, 0.1, 0.4, 0.8, 0.1, 0.1,
  0.4, 0.3, 0.3, 0.5, 0.1, 0.4, 0.7, 0.2, 0.1, 0.8, 0.1, 0.1, 0.3, 0.1, 0.6, 0.8, 0.1, 0.1,
].map(Math.log);

export const optionCases = {
  async "options: FastEmit and its two costs"(weft, gpu) {
    // NeMo and warp-rnnt, lambda 0.01.
    const rows = [-0.12994215, -0.40482562, 0.17825592, 0.17825592, 0.17825592];
    for (const [fastEmit, expected] of [[{ costScaled: 0.01 }, 4.54062344150844], [{ costUnchanged: 0.01 }, smallCost]]) {
      const { costs, gradients } = await (await weft.loss(gpu, { gradients: true, fastEmit })).run(small);
      close("cost", costs, [expected], LOSS);
      close("gradient", gradients.slice(0, 5), rows, LOSS);
    }
  },

  async "options: clamp, weights, reductions"(weft, gpu) {
    const clamped = smallGradient.map((g) => Math.max(-0.1, Math.min(0.1, g)));
    const two = { logits: Float32Array.from([...small.logits, ...small.logits]), shape: [2, 2, 3, 5], targets: [1, 2, 1, 2], frames: [2, 2], labels: [2, 2] };
    const weights = [0.5, -2];
    const factors = { none: 1, sum: 1, mean: 1 / 2, meanFrames: 1 / 4, meanLabels: 1 / 4 };
    for (const [reduction, factor] of Object.entries(factors)) {
      const out = await (await weft.loss(gpu, { gradients: true, clamp: 0.1, reduction })).run({ ...two, weights });
      close("costs", out.costs, [smallCost, smallCost], LOSS);
      if (reduction === "none") assert(out.loss === undefined, "a loss that nobody asked for");
      else close(reduction, [out.loss], [smallCost * (0.5 - 2) * factor], LOSS);
      close("gradient", out.gradients, weights.flatMap((weight) => clamped.map((g) => g * weight * factor)), LOSS);
    }
  },

  async "options: delay and end-of-sentence penalties"(weft, gpu) {
    const out = await against(weft, gpu, { delayPenalty: 0.05 }, { ...published, delay: 0.05 });
    close("published cost", out.costs, [4.239299513976], LOSS);
    const eos = { symbol: 2, penalty: 0.3 };
    await against(weft, gpu, { delayPenalty: 0.05, eosPenalty: eos }, { ...published, delay: 0.05, eos });
  },

  async "options: minimum latency"(weft, gpu) {
    // The mean frame of a label is the derivative of the cost by a delay penalty, but for its middle.
    const mean = (logits) => {
      const at = (delay) => cost({ ...published, logits, delay });
      return (at(1e-4) - at(-1e-4)) / 2e-4 / 2 + 1.5;
    };
    const loss = await weft.loss(gpu, { gradients: true, minLatency: 0.3 });
    const { costs, gradients } = await loss.run(batch(published));
    close("cost", costs, [cost(published) + 0.3 * mean(options4)], LOSS);
    const moved = (i, by) => mean(options4.map((x, j) => (i === j ? x + by : x)));
    const plain = gradient(published);
    close("gradient", gradients, plain.map((g, i) => g + (0.3 * (moved(i, 1e-3) - moved(i, -1e-3))) / 2e-3), 1e-5);
  },

  async "options: wildcards"(weft, gpu) {
    for (const [target, wildcard, expected] of [[[1, WILDCARD], 0.5, 2.180856349351], [[WILDCARD, 2], 0.1, 4.057369973197]]) {
      const out = await against(weft, gpu, { wildcard }, { ...published, target, stay: wildcard });
      close("published cost", out.costs, [expected], LOSS);
    }
  },

  async "scores: log-probabilities, gathered, packed, beginning elsewhere"(weft, gpu) {
    const loss = await weft.loss(gpu, { gradients: true });
    const whole = await loss.run(small);
    const logProbs = small.logits.map((x, i) => x - Math.log(small.logits.slice(i - (i % 5), i - (i % 5) + 5).reduce((sum, y) => sum + Math.exp(y), 0)));
    const { logits: _, ...rest } = small;
    const occupancies = [-0.30819807, -0.69180193, -0.30819807, -0.38360386, -0.38360386, 0, 0, -0.30819807, 0, -0.61639614, -1, 0];
    const target = [1, 2, 0];
    const gathered = Float32Array.from({ length: 12 }, (_, i) => logProbs[5 * (i >> 1) + (i % 2 ? target[(i >> 1) % 3] : 0)]);
    const out = await loss.run({ ...rest, gathered, shape: [1, 2, 3, 2] });
    close("gathered cost", out.costs, [smallCost], LOSS);
    close("gathered gradient", out.gradients, occupancies, LOSS);
    const full = await loss.run({ ...rest, logProbs });
    close("cost of log-probabilities", full.costs, [smallCost], LOSS);
    close("their gradient", full.gradients.filter((_, i) => i % 5 === 0), occupancies.filter((_, i) => i % 2 === 0), LOSS);

    // An utterance of two frames and two labels, then one of a frame and a label, without padding.
    const packed = { logits: Float32Array.from([...small.logits, ...small.logits.slice(0, 10)]), shape: [8, 5], targets: [1, 2, 1, 0], frames: [2, 1], labels: [2, 1] };
    const both = await loss.run(packed);
    same("packed cost", both.costs.slice(0, 1), whole.costs);
    same("packed gradient", both.gradients.slice(0, 30), whole.gradients);
    const alone = { logits: small.logits.slice(0, 10), frames: 1, target: [1], vocab: 5, blank: 0, arcs: rnntArcs(0) };
    close("second cost", both.costs.slice(1), [cost(alone)], LOSS);

    // The last position of the second frame.
    const inner = await loss.run({ ...small, targets: [2, 0], frames: [1], labels: [0], begin: { frames: [1], positions: [2] } });
    close("inner cost", inner.costs, [cost({ ...alone, logits: small.logits.slice(25), target: [] })], LOSS);
    assert(inner.gradients.slice(0, 25).every((g) => g === 0), "a gradient outside of the lattice");
  },

  async "options: bands"(weft, gpu) {
    const loss = await weft.loss(gpu, { kind: { type: "monotonic" }, gradients: true });
    const given = sample(3, 0, { logits: monotonic, arcs: kinds.monotonic[1].arcs });
    // Around the alignments 0 1 0 2 and 1 2 0 0.
    const bands = [
      [[[0, 0], [0, 1], [0, 1], [1, 2]], 1.2180717],
      [[[0, 0], [1, 1], [2, 2], [2, 2]], 2.7000820],
    ];
    for (const [band, expected] of bands) {
      const out = await loss.run(batch(given, { bands: [band] }));
      close("cost", out.costs, [cost({ ...given, band })], LOSS);
      close("published cost", out.costs, [expected], 1e-6);
      close("gradient", out.gradients, gradient({ ...given, band }), LOSS);
    }
    await fails("ValueError", ["bands", "widen"], () => loss.run(batch(given, { bands: [[[0, 0], [0, 0], [0, 0], [0, 0]]] })));
    await fails("ShapeError", ["bands", "4 ranges", "1 ranges"], () => loss.run(batch(given, { bands: [[[0, 2]]] })));
  },

  async "options: what makes no sense has its own error"(weft, gpu) {
    const made = (options) => () => weft.loss(gpu, options);
    const kind = (kind) => made({ kind });
    await fails("ValueError", ['kind.type = rnn', '"rnnt"', '"custom"'], kind({ type: "rnn" }));
    await fails("ValueError", "kind.type = undefined", kind({}));
    await fails("ValueError", ["durations = ", "ascending"], kind({ type: "tdt", durations: [2, 1] }));
    await fails("ValueError", "durations = undefined", kind({ type: "tdt" }));
    await fails("ValueError", "durations[1][0] = 0.5", kind({ type: "tdt", durations: [0, 0.5] }));
    await fails("ValueError", ["bigBlanks = ", "at least 2 frames"], kind({ type: "multiBlank", bigBlanks: [[1, 1]] }));
    await fails("ValueError", ["weight", "finite"], kind({ type: "wTransducer", weight: Infinity, exit: "end" }));
    await fails("ValueError", "exit = never", kind({ type: "wTransducer", weight: 0, exit: "never" }));
    await fails("ValueError", "weight = undefined", kind({ type: "star" }));
    await fails("ValueError", ["arcs", "needs arcs"], kind({ type: "custom", arcs: [] }));
    await fails("ValueError", ["arcs", "must take a frame"], kind({ type: "custom", arcs: [free(0, 0, 0)] }));
    await fails("ValueError", "arcs[0].token = label", kind({ type: "custom", arcs: [{ ...label(1), token: "label" }] }));
    await fails("ValueError", ["sigma", "0 or more"], kind({ type: "rnnt", underNormalised: -1 }));
    await fails("ValueError", ["omega", "between 0 and 1"], kind({ type: "rnnt", sometimesRnnt: 2 }));
    await fails("ValueError", ["fastEmit", "lambda"], made({ fastEmit: { costScaled: -1 } }));
    await fails("ValueError", ["delayPenalty", "0 or more"], made({ delayPenalty: NaN }));
    await fails("ValueError", ["clamp = 0", "above 0"], made({ clamp: 0 }));
    await fails("ValueError", ["reduction = average", '"mean"'], made({ reduction: "average" }));
    const loss = await weft.loss(gpu, {});
    const { logits, ...rest } = small;
    await fails("ValueError", "scores = none", () => loss.run(rest));
    await fails("ValueError", "scores = logits, logProbs", () => loss.run({ ...small, logProbs: logits }));
    await fails("ValueError", ["weights", "finite"], () => loss.run({ ...small, weights: [NaN] }));
    await fails("ValueError", "seed = 0.5", () => loss.run({ ...small, seed: 0.5 }));
    await fails("LengthError", ["frames[0] = 3", "2"], () => loss.run({ ...small, begin: { frames: [1], positions: [0] } }));
    const multi = await weft.loss(gpu, { kind: { type: "multiBlank", bigBlanks: [[2, 2]] } });
    await fails("LabelError", ["targets[0][1] = 2", "blank of this kind"], () => multi.run(small));
    await fails("ValueError", ["logProbs = gathered", "this kind"], () => multi.run({ ...rest, gathered: new Float32Array(12), shape: [1, 2, 3, 2] }));
    const tight = await weft.loss(gpu, { workspaceLimit: 16 });
    await fails("LimitExceededError", ["workspace", "the limit is 16"], () => tight.run(small));
  },
};

export const latticeCases = {
  async "lattice: what follows from it"(weft, gpu) {
    const loss = await weft.loss(gpu, { gradients: true });
    const { costs, gradients, lattices } = await loss.lattice(small);
    close("cost", costs, [smallCost], LOSS);
    close("gradient", gradients, smallGradient, LOSS);
    same("shape", await lattices.shape(0), [2, 3, 2]);
    const best = await lattices.bestPath(0);
    same("frames", best.emissions.map(({ frame }) => frame), [0, 0]);
    same("durations", best.emissions.map(({ duration }) => duration), [0, 0]);
    same("path", best.path.map(({ frame, position, arc }) => `${frame} ${position} ${arc}`), ["0 0 1", "0 1 1", "0 2 0", "1 2 0"]);
    close("score and posterior", [best.logProb, Math.exp(best.logPosterior)], [-5.45381165716638, 0.383603856188], 1e-5);
    close("posteriors", best.emissions.map(({ posterior }) => posterior), [0.69180193, 0.38360386], 1e-5);
    close("entropy", [await lattices.entropy(0)], [1.09305410737], 1e-5);
    const mean = await lattices.expectedFrames(0);
    close("sum of the mean frames", [mean[0] + mean[1]], [0.924594215718], 1e-5);
    const occupancies = await lattices.occupancies(0);
    close("occupancies", occupancies, [0.30819807, 0.69180193, 0.30819807, 0.38360386, 0.38360386, 0, 0, 0.30819807, 0, 0.61639614, 1, 0], 1e-5);
    const three = await lattices.kBest(0, 5);
    same("paths", [three.length], [3]);
    close("their probabilities", [three.reduce((sum, { logPosterior }) => sum + Math.exp(logPosterior), 0)], [1], 1e-5);
    const drawn = await lattices.sample(0, 20, 7);
    same("samples", [drawn.length], [20]);
    same("the same samples", (await lattices.sample(0, 10, 7n)).map(({ logProb }) => logProb), drawn.slice(0, 10).map(({ logProb }) => logProb));
    const scores = new Set(three.map(({ logProb }) => logProb.toFixed(4)));
    assert(drawn.every(({ logProb }) => scores.has(logProb.toFixed(4))), "a sample that is no path");
    assert((await lattices.bestPath(1)) === undefined && (await lattices.occupancies(1)).length === 0, "an utterance beyond the batch");
    await fails("ValueError", "utterance[0] = -1", async () => lattices.bestPath(-1));
    lattices.dispose();
    await fails("DisposedError", "disposed", async () => lattices.bestPath(0));
  },

  async "lattice: an utterance that is not ok has no paths"(weft, gpu) {
    const loss = await weft.loss(gpu, { kind: { type: "monotonic" } });
    const { status, lattices } = await loss.lattice({ logits: new Float32Array(6), shape: [1, 1, 3, 2], targets: [1, 1], frames: [1], labels: [2] });
    same("status", status, ["infeasible"]);
    assert((await lattices.bestPath(0)) === undefined && (await lattices.entropy(0)) === undefined, "a path");
    same("k best", await lattices.kBest(0, 3), []);
    lattices.dispose();
  },
};

export const ctcCases = {
  /** tensorflow's testBasic, second utterance: a repeat, so that there is one path only. */
  async "CTC: published cost and gradient, and the best path"(weft, gpu) {
    // prettier-ignore
    const probabilities = [
      0.30176, 0.28562, 0.0831517, 0.0862751, 0.0816851, 0.161508, 0.24082, 0.397533, 0.0557226, 0.0546814, 0.0557528, 0.19549,
      0.230246, 0.450868, 0.0389607, 0.038309, 0.0391602, 0.202456, 0.280884, 0.429522, 0.0326593, 0.0339046, 0.0326856, 0.190345,
      0.423286, 0.315517, 0.0338439, 0.0393744, 0.0339315, 0.154046,
    ];
    const loss = await weft.ctc(gpu, { blank: 5, gradients: true, alignments: true });
    const given = { logits: Float32Array.from(probabilities, Math.log), shape: [1, 5, 6], targets: [0, 1, 1, 0], frames: [5], labels: [4] };
    const { costs, status, gradients, alignments } = await loss.run(given);
    same("status", status, ["ok"]);
    close("cost", costs, [5.42262], 1e-5);
    const expected = probabilities.slice();
    [0, 1, 5, 1, 0].forEach((v, t) => (expected[t * 6 + v] -= 1));
    close("gradient", gradients, expected, 3e-6);
    const [{ states, posteriors, labels }] = alignments;
    same("states", states, [1, 3, 4, 5, 7]);
    close("posteriors", posteriors, [1, 1, 1, 1, 1], 1e-5);
    same("labels", labels.map(({ label, first, last }) => `${label} ${first} ${last}`), ["0 0 0", "1 1 1", "1 3 3", "0 4 4"]);

    const packed = await loss.run({ ...given, shape: [5, 6] });
    same("packed cost", packed.costs, costs);
    same("packed gradient", packed.gradients, gradients);
    const mean = await weft.ctc(gpu, { blank: 5, gradients: true, reduction: "meanFrames" });
    const reduced = await mean.run({ ...given, weights: [3] });
    close("mean over frames", [reduced.loss], [(3 * 5.42262) / 5], 1e-5);
    close("its gradient", reduced.gradients, expected.map((g) => (g * 3) / 5), 3e-6);
    // Two utterances frame by frame, as torch has them; the second begins in the second frame.
    const torch = Float32Array.from({ length: 72 }, (_, i) => given.logits[((Math.floor(i / 12) - (Math.floor(i / 6) % 2) + 5) % 5) * 6 + (i % 6)]);
    const two = await loss.run({ logits: torch, shape: [2, 6, 6], strides: [6, 12], begin: [0, 1], targets: [0, 1, 1, 0, 0, 1, 1, 0], frames: [5, 5], labels: [4, 4] });
    same("strided costs", two.costs, [costs[0], costs[0]]);
    same("strided gradient", two.gradients.filter((_, i) => i % 12 >= 6 && i >= 12), gradients);
    const weighted = await loss.run({ ...given, weights: [-2] });
    close("weighted gradient", weighted.gradients, expected.map((g) => -2 * g), 6e-6);
  },

  /** mxnet's test_ctc_loss: 20 frames of four equal symbols. */
  async "CTC: many paths, and targets without one"(weft, gpu) {
    const loss = await weft.ctc(gpu, { alignments: true });
    const logits = new Float32Array(3 * 80).fill(1);
    const { costs, status, gradients, alignments } = await loss.run({ logits, shape: [3, 20, 4], targets: [2, 1, 0, 3, 2, 2, 1, 1, 0], frames: [20, 20, 2], labels: [2, 3, 2] });
    close("costs", costs.slice(0, 2), [18.82820702, 16.50581741], 1e-5);
    same("status", status, ["ok", "ok", "infeasible"]);
    assert(gradients === undefined && alignments[2] === undefined && alignments[0].states.length === 20, "what nobody asked for, or a path");
  },

  async "CTC: bad input has its own error"(weft, gpu) {
    const loss = await weft.ctc(gpu, {});
    const good = { logits: new Float32Array(12), shape: [1, 4, 3], targets: [1], frames: [4], labels: [1] };
    await fails("ShapeError", ["3 sides", "N, T, V"], () => loss.run({ ...good, shape: [1, 2, 2, 3] }));
    await fails("LabelError", ["targets[0][0] = 3", "vocabulary 3"], () => loss.run({ ...good, targets: [3] }));
    await fails("LengthError", "frames[0] = 5", () => loss.run({ ...good, frames: [5] }));
    await fails("ShapeError", "weights", () => loss.run({ ...good, weights: [1, 1] }));
    await fails("ValueError", ["clamp = -1", "above 0"], () => weft.ctc(gpu, { clamp: -1 }));
    await fails("ValueError", "blank[0] = 0.5", () => weft.ctc(gpu, { blank: 0.5 }));
    loss.dispose();
    await fails("DisposedError", "disposed", () => loss.run(good));
  },
};

/** All of them, for any backend. */
export const latticeChecks = { ...kindCases, ...optionCases, ...latticeCases, ...ctcCases };
