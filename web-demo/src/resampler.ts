/** Half the width of the filter, in periods of the slower rate. */
const ZEROS = 12;
/** Entries of the filter table a period. */
const STEPS = 256;

/**
 * Changes the sample rate of sound that comes in pieces: a sinc under a Blackman window, cut off at 0.45 of
 * the slower rate. The result is {@link delay} seconds behind.
 */
export class Resampler {
  readonly delay: number;
  readonly #step: number;
  readonly #reach: number;
  readonly #scale: number;
  readonly #table = new Float32Array(ZEROS * STEPS + 2);
  #held: Float32Array;
  #position: number;

  constructor(from: number, to: number) {
    this.#step = from / to;
    this.#scale = Math.min(1, to / from);
    this.#reach = Math.ceil(ZEROS / this.#scale);
    this.delay = this.#reach / from;
    const cutoff = 0.9;
    for (let i = 0; i < this.#table.length; i++) {
      const x = i / STEPS;
      const window = x >= ZEROS ? 0 : 0.42 + 0.5 * Math.cos((Math.PI * x) / ZEROS) + 0.08 * Math.cos((2 * Math.PI * x) / ZEROS);
      const angle = Math.PI * x * cutoff;
      this.#table[i] = this.#scale * cutoff * window * (i === 0 ? 1 : Math.sin(angle) / angle);
    }
    this.#held = new Float32Array(this.#reach);
    this.#position = this.#reach;
  }

  push(samples: Float32Array): Float32Array {
    const all = new Float32Array(this.#held.length + samples.length);
    all.set(this.#held);
    all.set(samples, this.#held.length);
    const found = new Float32Array(Math.max(0, Math.ceil((all.length - this.#reach - this.#position) / this.#step)));
    for (let i = 0; i < found.length; i++) {
      const centre = this.#position + i * this.#step;
      let sum = 0;
      for (let k = Math.ceil(centre - this.#reach); k <= centre + this.#reach; k++) {
        const at = Math.abs(k - centre) * this.#scale * STEPS;
        const entry = Math.floor(at);
        if (entry > ZEROS * STEPS) continue;
        const low = this.#table[entry] ?? 0;
        sum += (all[k] ?? 0) * (low + (at - entry) * ((this.#table[entry + 1] ?? 0) - low));
      }
      found[i] = sum;
    }
    this.#position += found.length * this.#step;
    const done = Math.max(0, Math.floor(this.#position) - this.#reach);
    this.#held = all.slice(done);
    this.#position -= done;
    return found;
  }
}
