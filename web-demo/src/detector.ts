import { WeftWorker, type ContextInfo, type ContextOptions, type FarVad, type FarVadStream } from "weft-gpu/worker";
import { FRAME, type Recording } from "./recording";

/** Frames that are given to the network at once when a whole recording is there: two seconds. */
const PIECE = 64 * FRAME;

/** The network in a worker. */
export class Detector {
  readonly info: ContextInfo;
  readonly #worker: WeftWorker;
  readonly #vad: FarVad;

  private constructor(worker: WeftWorker, vad: FarVad) {
    this.info = worker.info;
    this.#worker = worker;
    this.#vad = vad;
  }

  static async open(options: ContextOptions, onLost: (message: string) => void): Promise<Detector> {
    const worker = await WeftWorker.start(options);
    try {
      const detector = new Detector(worker, await worker.loadVad("vad.safetensors"));
      // The first call compiles the kernels: that is no part of the speed.
      const stream = await detector.#vad.stream();
      await stream.push(new Float32Array(PIECE));
      stream.dispose();
      void worker.lost.then(({ reason, message }) => reason === "unknown" && onLost(message));
      return detector;
    } catch (error) {
      worker.dispose();
      throw error;
    }
  }

  stream(): Promise<FarVadStream> {
    return this.#vad.stream();
  }

  /** Looks at sound that the recording has already; `shown` after every piece. */
  async run(recording: Recording, signal: AbortSignal, shown: () => void): Promise<void> {
    const stream = await this.#vad.stream();
    try {
      for (const part of recording.parts) {
        for (let at = 0; at < part.length; at += PIECE) {
          await this.hear(recording, stream, part.subarray(at, at + PIECE), signal);
          shown();
        }
      }
    } finally {
      stream.dispose();
    }
  }

  /** One piece: its probabilities, and the segments so far. */
  async hear(recording: Recording, stream: FarVadStream, sound: Float32Array, signal: AbortSignal): Promise<void> {
    const begin = performance.now();
    const found = await stream.push(sound.slice(), { signal });
    recording.heard(found, performance.now() - begin);
    const heard = Math.min(recording.frames * FRAME, recording.samples);
    recording.segments = await this.#worker.segments(recording.probabilities.slice(0, recording.frames), heard);
  }

  dispose(): void {
    this.#worker.dispose();
  }
}
