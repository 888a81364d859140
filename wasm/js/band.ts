import { words } from "./arrays.js";
import { ValueError } from "./errors.js";

/** First and last allowed u of each frame of an utterance. An empty list is no restriction. */
export type Band = readonly (readonly [first: number, last: number])[];

/** Bands of what is known of an alignment. */
export const Band = {
  /** At most `distance` frames away from an alignment: `emitted[t]` labels lie in frame t. For lattices whose labels take a frame. */
  around(emitted: ArrayLike<number>, distance: number): Band {
    const frames = emitted.length;
    const before = [0];
    for (let t = 0; t < frames; t++) before.push((before[t] as number) + (emitted[t] as number));
    const at = (t: number): number => before[Math.max(0, Math.min(t, frames))] as number;
    return Array.from({ length: frames }, (_, t) => (t === 0 ? [0, 0] : [at(t - distance), at(t + distance)] as const));
  },

  /** Each label within a window of frames, first and last, of an utterance of `frames` frames. For lattices whose labels take no frame. */
  labelWindows(windows: readonly (readonly [first: number, last: number])[], frames: number): Band {
    const from = windows.map((_, u) => Math.max(...windows.slice(0, u + 1).map(([first]) => first)));
    const to = windows.map((_, u) => Math.min(...windows.slice(u).map(([, last]) => last)));
    const count = (list: number[], is: (frame: number) => boolean): number => list.filter(is).length;
    return Array.from({ length: frames }, (_, t) => [count(to, (last) => last < t), count(from, (first) => first <= t)] as const);
  },
};

/** @internal Of each utterance the number of its ranges, and their ends: `src/batch.rs`. */
export function writtenBands(bands: readonly Band[]): Uint32Array {
  if (!Array.isArray(bands)) throw new ValueError(`bands = ${String(bands)}: must be an array, of a band for each utterance`);
  return words("bands", bands.flatMap((band: Band) => [band.length, ...band.flat()]));
}
