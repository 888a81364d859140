import { floats } from "./arrays.js";
import type { Context } from "./context.js";
import { ValueError, translated } from "./errors.js";
import type { WasmVad, WasmVadStream } from "./weft_wasm.js";
import { alive, call } from "./module.js";
import { Owned } from "./owned.js";
import { type LoadOptions, Weights, type WeightsSource } from "./weights.js";

export interface VadLoadOptions extends LoadOptions {
  /** Where it runs. */
  readonly gpu: Context;
}

/** How far a recording is. */
export interface VadProgress {
  /** Samples that have been looked at. */
  readonly done: number;
  /** Samples in all. */
  readonly total: number;
}

export interface VadRunOptions {
  readonly onProgress?: ((progress: VadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A stretch of speech, in seconds from the begin of the recording. */
export interface Segment {
  readonly start: number;
  readonly end: number;
}

/** How probabilities become segments. The defaults are what Silero publishes for this network. */
export interface SegmentOptions {
  /** Speech begins with the first frame of at least this probability; default 0.5. */
  readonly threshold?: number | undefined;
  /** Speech can only end with a frame below this probability; default 0.35. */
  readonly endThreshold?: number | undefined;
  /** Shorter speech is dropped, seconds; default 0.25. */
  readonly minSpeech?: number | undefined;
  /** A pause must last this long to end a segment, seconds; default 0.1. */
  readonly minSilence?: number | undefined;
  /** Segments grow by this on both sides, at most to the middle of a pause, seconds; default 0.03. */
  readonly pad?: number | undefined;
}

/** Voice activity detection by Silero VAD v6: one probability of speech for every 512 samples at 16 kHz. */
export class Vad extends Owned {
  /** Sample rate of the audio that it takes, Hz. */
  static readonly sampleRate = 16_000;
  /** Samples a probability: 32 ms. */
  static readonly frame = 512;

  /**
   * Loads the weights, a safetensors file.
   *
   * @throws {WeightsError} if it cannot be fetched, is no safetensors, or lacks a tensor of the network
   */
  static async load(source: WeightsSource, options: VadLoadOptions): Promise<Vad> {
    const weights = await Weights.load(source, options);
    try {
      return new Vad(await call((glue) => glue.WasmVad.load(options.gpu.handle, weights.handle), options.signal));
    } finally {
      if (weights !== source) weights.dispose();
    }
  }

  /**
   * Probabilities of a whole recording, mono at 16 kHz, full scale ±1: one per 512 samples. What fills no frame at the end gives none.
   *
   * @throws {ValueError} naming the first sample that is not finite
   * @throws {OutOfMemoryError} {@link DeviceLostError} {@link DisposedError}
   */
  async probabilities(samples: Float32Array, options: VadRunOptions = {}): Promise<Float32Array> {
    const { onProgress, signal } = options;
    const all = floats("samples", samples);
    const bad = all.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new ValueError(`samples[${bad}] = ${all[bad]}: samples must be finite, full scale is 1`);
    const stream = this.stream();
    try {
      const found = new Float32Array(Math.floor(all.length / Vad.frame));
      const piece = alive().vad_batch() * Vad.frame;
      for (let at = 0; at < all.length; at += piece) {
        found.set(await stream.push(all.subarray(at, at + piece), { signal }), at / Vad.frame);
        onProgress?.({ done: Math.min(at + piece, all.length), total: all.length });
        // On the CPU nothing else would let an abort, or the page, have its turn.
        if (at + piece < all.length) await turn();
      }
      return found;
    } finally {
      stream.dispose();
    }
  }

  /** A stream at its begin, for audio that comes piece by piece. Streams of one `Vad` do not touch each other. */
  stream(): VadStream {
    try {
      return new VadStream((this.handle as WasmVad).stream());
    } catch (error) {
      throw translated(error);
    }
  }
}

/** Audio that comes piece by piece. The probabilities are those of the whole at once. */
export class VadStream extends Owned {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Takes the next samples, as many as there are, and gives a probability for every 512 that are complete
   * with them. It may be called again before the last call has ended: pieces are taken in order. An error
   * leaves the stream as it was.
   *
   * @throws {ValueError} naming the first sample that is not finite
   * @throws {OutOfMemoryError} {@link DeviceLostError} {@link DisposedError}
   */
  async push(samples: Float32Array, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    const { signal } = options;
    signal?.throwIfAborted();
    const piece = floats("samples", samples).slice();
    return call(() => this.#queued(() => (this.handle as WasmVadStream).push(piece) as Promise<Float32Array>), signal);
  }

  /** Back to the begin, once the pushes so far have ended. */
  async reset(): Promise<void> {
    await call(() => this.#queued(() => (this.handle as WasmVadStream).reset()));
  }

  #queued<T>(work: () => T | Promise<T>): Promise<T> {
    const next = this.#last.then(work);
    this.#last = next.catch(() => {});
    return next;
  }
}

/**
 * Stretches of speech in a recording, in order and without overlap.
 *
 * @param probabilities one per 512 samples, as {@link Vad.probabilities} gives them
 * @param samples length of the recording
 */
export function segments(probabilities: Float32Array, samples: number, options: SegmentOptions = {}): Segment[] {
  const { threshold, endThreshold, minSpeech, minSilence, pad } = options;
  try {
    const times = alive().vad_segments(floats("probabilities", probabilities), samples, threshold, endThreshold, minSpeech, minSilence, pad);
    return Array.from({ length: times.length / 2 }, (_, i) => ({ start: times[2 * i] as number, end: times[2 * i + 1] as number }));
  } catch (error) {
    throw translated(error);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
