import { count, floats, shape, words } from "./arrays.js";
import type { Context } from "./context.js";
import type { WasmLoss } from "./weft_wasm.js";
import { alive, call } from "./module.js";
import { Owned } from "./owned.js";
import { translated } from "./errors.js";

export interface TransducerLossOptions {
  /** Where it runs. */
  readonly gpu: Context;
  /** Index of the blank among the V symbols; default 0. */
  readonly blank?: number | undefined;
  /** Whether {@link TransducerLoss.run} gives the gradient; default false. */
  readonly gradients?: boolean | undefined;
}

/** A padded batch of N utterances. */
export interface LossBatch {
  /** Raw logits (not log-probabilities), row-major [N, T, U1, V]: utterance, frame, labels emitted so far, symbol. `-Infinity` masks a symbol. */
  readonly logits: Float32Array;
  /** [N, T, U1, V], with U1 = the most labels of an utterance + 1. */
  readonly shape: readonly [number, number, number, number];
  /** Labels, row-major [N, U1 - 1]; what lies beyond an utterance's labels is ignored. */
  readonly targets: ArrayLike<number>;
  /** Frames of each utterance, [N]. */
  readonly frames: ArrayLike<number>;
  /** Labels of each utterance, [N]. */
  readonly labels: ArrayLike<number>;
}

/**
 * What became of an utterance. `empty`: it has no frames, the cost is Infinity. `infeasible`: no path has a
 * probability, the cost is Infinity. `non-finite`: NaN or +Infinity among its logits, the cost is NaN. In all
 * three cases its gradient is zero, and the other utterances are as good as ever.
 */
export type LossStatus = "ok" | "empty" | "infeasible" | "non-finite";

const STATUS: readonly LossStatus[] = ["ok", "empty", "infeasible", "non-finite"];

export interface LossResult {
  /** -log P(target | logits) in nats, [N]. */
  readonly costs: Float32Array;
  /** What became of each utterance, [N]. */
  readonly status: LossStatus[];
  /** d costs[n] / d logits, row-major [N, T, U1, V], if gradients were asked for. */
  readonly gradients?: Float32Array;
}

/** The transducer (RNN-T) loss from raw logits; the softmax is inside. */
export class TransducerLoss extends Owned {
  /** @throws {ValueError} if `blank` is no index */
  constructor(options: TransducerLossOptions) {
    const { gpu, blank = 0, gradients = false } = options;
    try {
      super(alive().WasmLoss.create(gpu.handle, count("blank", blank), gradients));
    } catch (error) {
      throw translated(error);
    }
  }

  /**
   * Costs, and gradients if the loss was made with them. The arrays are copied before it returns its promise.
   *
   * @throws {ShapeError} {@link LengthError} {@link LabelError} {@link ValueError} for what is wrong with the batch
   * @throws {LimitExceededError} if an utterance is more than the device can hold
   * @throws {OutOfMemoryError} {@link DeviceLostError} {@link DisposedError}
   */
  async run(batch: LossBatch, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<LossResult> {
    const out = await call(() => {
      const { logits, targets, frames, labels } = batch;
      return (this.handle as WasmLoss).run(
        floats("logits", logits),
        shape("shape", batch.shape, "N T U1 V"),
        words("targets", targets),
        words("frames", frames),
        words("labels", labels),
      ) as Promise<[Float32Array, Uint32Array, Float32Array | undefined]>;
    }, options.signal);
    const [costs, status, gradients] = out;
    return { costs, status: Array.from(status, (word) => STATUS[word] as LossStatus), ...(gradients && { gradients }) };
  }
}
