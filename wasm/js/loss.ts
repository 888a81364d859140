import { floats, shape, words } from "./arrays.js";
import { type Band, writtenBands } from "./band.js";
import type { Context } from "./context.js";
import { ValueError, translated } from "./errors.js";
import { type Kind, writeKind } from "./kind.js";
import { Lattices } from "./lattices.js";
import { alive, call } from "./module.js";
import { Numbers } from "./numbers.js";
import { Owned } from "./owned.js";
import type { WasmLattices, WasmLoss } from "./weft_wasm.js";

/** In a target: a label that stands for any symbol at no cost. */
export const WILDCARD = 0xffff_ffff;

/** One number for a batch; `mean` is over the utterances, the last two are over all frames or all labels of the batch. */
export type Reduction = "none" | "sum" | "mean" | "meanFrames" | "meanLabels";

export interface TransducerLossOptions {
  /** Where it runs. */
  readonly gpu: Context;
  /** Index of the blank among the V symbols; default 0. */
  readonly blank?: number | undefined;
  /** Default `{ type: "rnnt" }`. */
  readonly kind?: Kind | undefined;
  /** Whether {@link TransducerLoss.run} gives the gradient; default false. */
  readonly gradients?: boolean | undefined;
  /**
   * Trains labels to come early (Yu et al. 2021): the gradient through labels, times 1 + lambda. Implementations differ in the cost
   * that they tell: as it is (warp-rnnt), or times 1 + lambda (NeMo).
   */
  readonly fastEmit?: { readonly costUnchanged: number } | { readonly costScaled: number } | undefined;
  /** Adds penalty * ((T - 1) / 2 - t) nats to the weight of each label of frame t: early ones gain, late ones lose. The cost contains it. */
  readonly delayPenalty?: number | undefined;
  /** A delay penalty for one symbol, the end of the sentence, beyond that of all labels. */
  readonly eosPenalty?: { readonly symbol: number; readonly penalty: number } | undefined;
  /**
   * Adds this times the mean, over labels and over all paths, of the frame in which a label is emitted, to the cost (Shinohara & Watanabe
   * 2022); the gradient is that of the sum. Not for gathered scores.
   */
  readonly minLatency?: number | undefined;
  /** Probability of a frame after a {@link WILDCARD}, in place of the blank's; default 1. */
  readonly wildcard?: number | undefined;
  /** Clamps the gradient to [-clamp, clamp], before weights and reductions are applied. */
  readonly clamp?: number | undefined;
  /** Default `none`. Gradients are those of the reduced loss. */
  readonly reduction?: Reduction | undefined;
  /** Most bytes that the lattices of a run may take: large batches are worked on in pieces, to the same results. */
  readonly workspaceLimit?: number | undefined;
}

/** What any batch of N utterances has beside its scores. */
export interface BatchLengths {
  /** Labels, row-major [N, most labels]; what lies beyond an utterance's labels is ignored. */
  readonly targets: ArrayLike<number>;
  /** Frames of each utterance, [N]. */
  readonly frames: ArrayLike<number>;
  /** Labels of each utterance, [N]. */
  readonly labels: ArrayLike<number>;
  /** Multiplies the gradient of each utterance, and its cost in reductions, [N]. Any sign, finite. */
  readonly weights?: ArrayLike<number> | undefined;
}

/**
 * The scores of a batch, one of the three, row-major. Padded: [N, T, U1, V] (utterance, frame, labels emitted so far, symbol), with U1 =
 * the most labels of an utterance + 1. Packed: [Σ T (U + 1), V], the rows of an utterance after those of another. Rows of kinds with
 * durations have those after the V symbols.
 */
export type LossScores =
  | {
      /** Raw scores: the loss applies the softmax. `-Infinity` masks a symbol. */
      readonly logits: Float32Array;
      readonly logProbs?: undefined;
      readonly gathered?: undefined;
    }
  | {
      /** Log-probabilities in nats: nothing is normalised. */
      readonly logProbs: Float32Array;
      readonly logits?: undefined;
      readonly gathered?: undefined;
    }
  | {
      /** Log-probabilities of the blank and of the next label only: V is 2. For `rnnt` and `monotonic`. */
      readonly gathered: Float32Array;
      readonly logits?: undefined;
      readonly logProbs?: undefined;
    };

/** A batch of N utterances. */
export type LossBatch = LossScores &
  BatchLengths & {
    /** [N, T, U1, V] of padded scores, [rows, V] of packed ones. */
    readonly shape: readonly [number, number, number, number] | readonly [number, number];
    /** Restricts each utterance to a band of its lattice, [N]. */
    readonly bands?: readonly Band[] | undefined;
    /** Where the lattice of each utterance begins in padded scores, [N] each; default 0. */
    readonly begin?: { readonly frames: ArrayLike<number>; readonly positions: ArrayLike<number> } | undefined;
    /** Where the draws of `sometimesRnnt` come from; default 0. Give every training step its own. */
    readonly seed?: number | bigint | undefined;
  };

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * What became of an utterance. `empty`: it has no frames, the cost is Infinity. `infeasible`: no path has a
 * probability, the cost is Infinity. `non-finite`: NaN or +Infinity among its scores, the cost is NaN. In all
 * three cases its gradient is zero, and the other utterances are as good as ever.
 */
export type LossStatus = "ok" | "empty" | "infeasible" | "non-finite";

const STATUS: readonly LossStatus[] = ["ok", "empty", "infeasible", "non-finite"];

export interface LossResult {
  /** -log P(target | scores) in nats, and what `minLatency` adds, [N]. */
  readonly costs: Float32Array;
  /** What became of each utterance, [N]. */
  readonly status: LossStatus[];
  /** The reduction of the costs that are ok, times their weights, if one was asked for. */
  readonly loss?: number;
  /** d costs[n] (or d loss) by the scores, in their layout, if gradients were asked for. */
  readonly gradients?: Float32Array;
}

/** What {@link TransducerLoss.lattice} gives. */
export interface LatticeResult extends LossResult {
  /** Of all utterances, until it is disposed of. */
  readonly lattices: Lattices;
}

type Parts = (Float32Array | Uint32Array | undefined)[];

/** @internal The first six of what any batch gives to the module: `Batch::new` of `src/batch.rs`. */
export function parts(name: string, scores: Float32Array, sides: Uint32Array, batch: BatchLengths): Parts {
  const { targets, frames, labels, weights } = batch;
  const lengths = [words("targets", targets), words("frames", frames), words("labels", labels)] as const;
  return [floats(name, scores), sides, ...lengths, weights && floats("weights", weights)];
}

/** @internal Costs, status words, gradients, the reduced loss, and what else there is. */
export type Found = [Float32Array, Uint32Array, Float32Array | undefined, number | undefined, ...unknown[]];

/** @internal */
export function result([costs, words, gradients, loss]: Found): LossResult {
  const status = Array.from(words, (word) => STATUS[word] as LossStatus);
  return { costs, status, ...(loss !== undefined && { loss }), ...(gradients && { gradients }) };
}

/** @internal A u64. */
export function seedOf(seed: number | bigint): bigint {
  try {
    return BigInt.asUintN(64, BigInt(seed));
  } catch (error) {
    throw new ValueError(`seed = ${String(seed)}: must be an integer`, { cause: error });
  }
}

const MEANINGS = ["logits", "logProbs", "gathered"] as const;
/** @internal */
export const REDUCTIONS: readonly Reduction[] = ["none", "sum", "mean", "meanFrames", "meanLabels"];

function written(options: TransducerLossOptions): Float64Array {
  const { blank = 0, kind = { type: "rnnt" }, gradients, fastEmit = { costUnchanged: 0 }, eosPenalty, clamp, workspaceLimit } = options;
  const numbers = new Numbers().word("blank", blank).flag(gradients);
  writeKind(numbers, kind);
  const isScaled = "costScaled" in fastEmit;
  numbers.flag(isScaled).number("fastEmit", isScaled ? fastEmit.costScaled : fastEmit.costUnchanged);
  numbers.number("delayPenalty", options.delayPenalty ?? 0).number("minLatency", options.minLatency ?? 0);
  numbers.number("wildcard", options.wildcard ?? 1);
  numbers.optional(eosPenalty, ({ symbol, penalty }) => numbers.word("eosPenalty.symbol", symbol).number("eosPenalty.penalty", penalty));
  numbers.optional(clamp, (limit) => numbers.number("clamp", limit));
  numbers.optional(workspaceLimit, (bytes) => numbers.number("workspaceLimit", bytes));
  return numbers.choice("reduction", REDUCTIONS, options.reduction ?? "none").done();
}

/**
 * The loss of a transducer lattice of any {@link Kind}.
 *
 * ```ts
 * const loss = new TransducerLoss({ gpu, kind: { type: "tdt", durations: [0, 1, 2, 4], underNormalised: 0.05 }, gradients: true });
 * const { costs, status, gradients } = await loss.run({ logits, shape: [1, 50, 8, 32], targets, frames: [50], labels: [7] });
 * ```
 */
export class TransducerLoss extends Owned {
  /** @throws {ValueError} naming the option that makes no sense */
  constructor(options: TransducerLossOptions) {
    try {
      super(alive().WasmLoss.create(options.gpu.handle, written(options)));
    } catch (error) {
      throw translated(error);
    }
  }

  /**
   * Costs, and gradients if the loss was made with them. The arrays are copied before it returns its promise.
   *
   * @throws {ShapeError} {@link LengthError} {@link LabelError} {@link ValueError} for what is wrong with the batch
   * @throws {LimitExceededError} if an utterance is more than the device, or the `workspaceLimit`, can hold
   * @throws {OutOfMemoryError} {@link DeviceLostError} {@link DisposedError}
   */
  async run(batch: LossBatch, options: RunOptions = {}): Promise<LossResult> {
    return result(await this.#found("run", batch, options));
  }

  /**
   * As {@link run}, and keeps the lattices: alignments, occupancies and more follow from them without another run. They are read
   * back from the device, 8 B and 4 B an arc for each cell.
   */
  async lattice(batch: LossBatch, options: RunOptions = {}): Promise<LatticeResult> {
    const found = await this.#found("lattice", batch, options);
    return { ...result(found), lattices: new Lattices(found[4] as WasmLattices) };
  }

  #found(method: "run" | "lattice", batch: LossBatch, { signal }: RunOptions): Promise<Found> {
    return call(() => {
      const { bands, begin, seed = 0 } = batch;
      const given = MEANINGS.filter((name) => batch[name] !== undefined);
      const [name] = given;
      if (!name || given.length > 1) throw new ValueError(`scores = ${given.join(", ") || "none"}: give one of ${MEANINGS.join(", ")}`);
      const sides = shape("shape", batch.shape, batch.shape?.length === 2 ? "rows V" : "N T U1 V");
      const first = [begin && words("begin.frames", begin.frames), begin && words("begin.positions", begin.positions)];
      const all = [...parts(name, batch[name] as Float32Array, sides, batch), ...first, bands && writtenBands(bands)];
      return (this.handle as WasmLoss)[method](MEANINGS.indexOf(name), all, seedOf(seed)) as Promise<Found>;
    }, signal);
  }
}
