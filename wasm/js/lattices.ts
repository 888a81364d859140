import { count } from "./arrays.js";
import { seedOf } from "./loss.js";
import { Owned } from "./owned.js";
import { translated } from "./errors.js";
import type { WasmLattices } from "./weft_wasm.js";

/** A label of an alignment. */
export interface Emission {
  /** Frame in which it is emitted, counted from the first of the utterance. */
  readonly frame: number;
  /** Frames that its arc takes: 0 in RNN-T, 1 in monotonic kinds, the predicted duration in TDT. */
  readonly duration: number;
  /** Probability of this arc in this frame for this label, over all paths. */
  readonly posterior: number;
  /** The number of the arc that emits it. */
  readonly arc: number;
}

/** An arc of a path, and the cell (frame, position) that it leaves. */
export interface PathArc {
  readonly frame: number;
  /** Labels emitted before. */
  readonly position: number;
  /** The number of the arc. */
  readonly arc: number;
}

/** One path through a lattice. */
export interface Alignment {
  /** Where each label is emitted, [U]. */
  readonly emissions: Emission[];
  /** Its arcs from the start to the end. */
  readonly path: PathArc[];
  /** Log-probability of the path and the target given the scores, nats. */
  readonly logProb: number;
  /** Log-probability of the path among all paths of the target, nats. */
  readonly logPosterior: number;
}

function alignments(values: Float64Array): Alignment[] {
  let at = 0;
  const next = (): number => values[at++] as number;
  const list = <T>(read: () => T): T[] => Array.from({ length: next() }, read);
  const found: Alignment[] = [];
  while (at < values.length) {
    const [logProb, logPosterior] = [next(), next()];
    const emissions = list(() => ({ frame: next(), duration: next(), posterior: next(), arc: next() }));
    found.push({ emissions, path: list(() => ({ frame: next(), position: next(), arc: next() })), logProb, logPosterior });
  }
  return found;
}

/**
 * The lattices of a batch of N utterances, kept on the host after their loss was computed, and what follows from them.
 *
 * Arcs are numbered as in the kind: for `rnnt` 0 is the blank, 1 the label; those of `withArcs` follow. Where the status of an
 * utterance is not `ok` there are no paths, and every list is empty.
 *
 * ```ts
 * const { lattices } = await loss.lattice(batch);
 * const frames = lattices.bestPath(0)?.emissions.map(({ frame }) => frame);
 * lattices.dispose();
 * ```
 */
export class Lattices extends Owned {
  /** [T, U + 1, A] of an utterance: its frames, its labels + 1, the arcs of its kind. */
  shape(utterance: number): [number, number, number] {
    const [frames = 0, positions = 0, arcs = 0] = this.#of(utterance, (handle, n) => handle.shape(n));
    return [frames, positions, arcs];
  }

  /** The path of the highest weight: the forced alignment of the target. `undefined` where there is none. */
  bestPath(utterance: number): Alignment | undefined {
    return alignments(this.#of(utterance, (handle, n) => handle.best_path(n)))[0];
  }

  /** The `k` paths of the highest weight, best first; fewer if the lattice has fewer. */
  kBest(utterance: number, k: number): Alignment[] {
    return alignments(this.#of(utterance, (handle, n) => handle.k_best(n, count("k", k))));
  }

  /** `amount` paths, drawn independently from the posterior. The same seed draws the same paths. */
  sample(utterance: number, amount: number, seed: number | bigint): Alignment[] {
    return alignments(this.#of(utterance, (handle, n) => handle.sample(n, count("amount", amount), seedOf(seed))));
  }

  /** The probability that a path takes arc a from cell (t, u), row-major [T, U + 1, A]. */
  occupancies(utterance: number): Float64Array {
    return this.#of(utterance, (handle, n) => handle.occupancies(n));
  }

  /** Entropy of the alignment given the target, nats; `undefined` where there is no path. */
  entropy(utterance: number): number | undefined {
    return this.#of(utterance, (handle, n) => handle.entropy(n));
  }

  /** Mean frame, over all paths, in which each label is emitted, [U]. */
  expectedFrames(utterance: number): Float64Array {
    return this.#of(utterance, (handle, n) => handle.expected_frames(n));
  }

  #of<T>(utterance: number, read: (handle: WasmLattices, utterance: number) => T): T {
    try {
      return read(this.handle as WasmLattices, count("utterance", utterance));
    } catch (error) {
      throw translated(error);
    }
  }
}
