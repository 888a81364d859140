/** On the audio thread: the microphone's samples at 16 kHz, a frame of the network at a time. */
import { Resampler } from "./resampler";

// What TypeScript's libraries do not know of an audio worklet.
declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

const FRAME = 512;

class Recorder extends AudioWorkletProcessor {
  readonly #resampler = new Resampler(sampleRate, 16_000);
  #frame = new Float32Array(FRAME);
  #filled = 0;

  process(inputs: Float32Array[][]): boolean {
    const channels = inputs[0] ?? [];
    const [first] = channels;
    if (!first) return true;
    const mono = Float32Array.from(first, (_, i) => channels.reduce((sum, channel) => sum + (channel[i] ?? 0), 0) / channels.length);
    for (const sample of this.#resampler.push(mono)) {
      this.#frame[this.#filled++] = sample;
      if (this.#filled === FRAME) {
        this.port.postMessage(this.#frame, [this.#frame.buffer]);
        this.#frame = new Float32Array(FRAME);
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
