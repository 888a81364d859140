import type { Segment } from "weft-gpu/worker";

/** Samples a probability, and a second. */
export const FRAME = 512;
export const RATE = 16_000;

/** What is known of a sound so far. */
export class Recording {
  readonly name: string;
  /** Samples in all; grows with a microphone. */
  samples = 0;
  /** Loudest sample of each frame. */
  peaks: Float32Array<ArrayBuffer> = new Float32Array(1024);
  probabilities: Float32Array<ArrayBuffer> = new Float32Array(1024);
  /** Frames that have a probability. */
  frames = 0;
  segments: readonly Segment[] = [];
  /** Time that the network took, ms. */
  took = 0;
  /** What to run again on another backend; a microphone's sound is kept as well. */
  readonly parts: Float32Array[] = [];
  /** Whether more sound comes. */
  live = false;

  constructor(name: string) {
    this.name = name;
  }

  get seconds(): number {
    return this.samples / RATE;
  }

  /** Adds sound. All but the last piece must be whole frames. */
  add(sound: Float32Array): void {
    const first = this.samples / FRAME;
    const frames = Math.ceil(sound.length / FRAME);
    this.peaks = roomy(this.peaks, first + frames);
    for (let frame = 0; frame < frames; frame++) {
      let peak = 0;
      const end = Math.min((frame + 1) * FRAME, sound.length);
      for (let i = frame * FRAME; i < end; i++) peak = Math.max(peak, Math.abs(sound[i] ?? 0));
      this.peaks[first + frame] = peak;
    }
    this.samples += sound.length;
    this.parts.push(sound);
  }

  heard(probabilities: Float32Array, ms: number): void {
    this.probabilities = roomy(this.probabilities, this.frames + probabilities.length);
    this.probabilities.set(probabilities, this.frames);
    this.frames += probabilities.length;
    this.took += ms;
  }

  forget(): void {
    this.frames = 0;
    this.took = 0;
    this.segments = [];
  }
}

function roomy(list: Float32Array<ArrayBuffer>, length: number): Float32Array<ArrayBuffer> {
  if (length <= list.length) return list;
  const longer = new Float32Array(Math.max(length, 2 * list.length));
  longer.set(list);
  return longer;
}
