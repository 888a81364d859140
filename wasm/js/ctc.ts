import { shape, words } from "./arrays.js";
import type { Context } from "./context.js";
import { translated } from "./errors.js";
import { type BatchLengths, type Found, type LossResult, REDUCTIONS, type Reduction, type RunOptions, parts, result } from "./loss.js";
import { alive, call } from "./module.js";
import { Numbers } from "./numbers.js";
import { Owned } from "./owned.js";
import type { WasmCtc } from "./weft_wasm.js";

export interface CtcLossOptions {
  /** Where it runs. */
  readonly gpu: Context;
  /** Index of the blank among the V symbols; default 0. */
  readonly blank?: number | undefined;
  /** Whether {@link CtcLoss.run} gives the gradient; default false. */
  readonly gradients?: boolean | undefined;
  /** Whether it gives the best path of each utterance; default false. */
  readonly alignments?: boolean | undefined;
  /** Clamps the gradient to [-clamp, clamp], before weights are applied. */
  readonly clamp?: number | undefined;
  /** Most bytes that a run may take: large batches are worked on in pieces. */
  readonly workspaceLimit?: number | undefined;
  /** Default `none`. Gradients are those of the reduced loss. */
  readonly reduction?: Reduction | undefined;
}

/** A batch of N utterances. */
export interface CtcBatch extends BatchLengths {
  /** Raw logits, row-major. `-Infinity` masks a symbol. */
  readonly logits: Float32Array;
  /** [N, T, V] of padded logits; [Σ T, V] of packed ones, the rows of an utterance after those of another. */
  readonly shape: readonly [number, number, number] | readonly [number, number];
  /** Elements of padded logits from utterance to utterance and from frame to frame; torch's [T, N, V] has [V, N V]. Default [T V, V]. */
  readonly strides?: readonly [number, number] | undefined;
  /** First frame of each utterance in padded logits, [N]; default 0. Lengths, and frames of alignments, count from there. */
  readonly begin?: ArrayLike<number> | undefined;
}

/** The frames of one label. */
export interface LabelSpan {
  /** The symbol. */
  readonly label: number;
  readonly first: number;
  readonly last: number;
  /** Mean of the posteriors of its frames. */
  readonly posterior: number;
}

/** The most probable path through the lattice of an utterance. */
export interface CtcAlignment {
  /** State of each frame, [T]: 2 u is the blank before label u (after the last one for u = U), 2 u + 1 is label u. */
  readonly states: Uint32Array;
  /** Posterior probability of that state in that frame, [T]. */
  readonly posteriors: Float32Array;
  /** Where each label of the target stands, [U]. */
  readonly labels: LabelSpan[];
}

export interface CtcResult extends LossResult {
  /** The best path of each utterance, [N], if it was asked for; `undefined` where the status is not `ok`. */
  readonly alignments?: (CtcAlignment | undefined)[];
}

type FoundAlignment = [Uint32Array, Float32Array, Float64Array] | undefined;

function alignment(found: FoundAlignment): CtcAlignment | undefined {
  if (!found) return undefined;
  const [states, posteriors, spans] = found;
  const label = (_: unknown, u: number): LabelSpan => {
    const [label, first, last, posterior] = spans.subarray(4 * u) as unknown as [number, number, number, number];
    return { label, first, last, posterior };
  };
  return { states, posteriors, labels: Array.from({ length: spans.length / 4 }, label) };
}

/**
 * The CTC loss (Graves et al. 2006) from raw logits; the softmax is inside.
 *
 * ```ts
 * const loss = new CtcLoss({ gpu, gradients: true, alignments: true });
 * const { costs, gradients, alignments } = await loss.run({ logits, shape: [1, 50, 32], targets, frames: [50], labels: [7] });
 * ```
 */
export class CtcLoss extends Owned {
  /** @throws {ValueError} naming the option that makes no sense */
  constructor(options: CtcLossOptions) {
    const { gpu, blank = 0, gradients, clamp, workspaceLimit } = options;
    try {
      const numbers = new Numbers().word("blank", blank).flag(gradients).flag(options.alignments);
      numbers.optional(clamp, (limit) => numbers.number("clamp", limit));
      numbers.optional(workspaceLimit, (bytes) => numbers.number("workspaceLimit", bytes));
      numbers.choice("reduction", REDUCTIONS, options.reduction ?? "none");
      super(alive().WasmCtc.create(gpu.handle, numbers.done()));
    } catch (error) {
      throw translated(error);
    }
  }

  /**
   * Costs, and what else the loss was made for. The arrays are copied before it returns its promise. `infeasible` is a target that
   * needs more frames than there are; no frames are `ok` for no labels.
   *
   * @throws {ShapeError} {@link LengthError} {@link LabelError} {@link ValueError} for what is wrong with the batch
   * @throws {LimitExceededError} {@link OutOfMemoryError} {@link DeviceLostError} {@link DisposedError}
   */
  async run(batch: CtcBatch, options: RunOptions = {}): Promise<CtcResult> {
    const found = await call(() => {
      const sides = shape("shape", batch.shape, batch.shape?.length === 2 ? "rows V" : "N T V");
      const { begin, strides } = batch;
      const more = [begin && words("begin", begin), strides && shape("strides", strides, "utterance frame")];
      return (this.handle as WasmCtc).run([...parts("logits", batch.logits, sides, batch), ...more]) as Promise<Found>;
    }, options.signal);
    const alignments = found[4] as FoundAlignment[] | undefined;
    return { ...result(found), ...(alignments && { alignments: alignments.map(alignment) }) };
  }
}
