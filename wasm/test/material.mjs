/** The weights, the sample and its known probabilities, for the checks of the VAD. */

import fs from "node:fs";
import { fileURLToPath } from "node:url";

/** Where the known probabilities are; a copy of this file elsewhere is told by the environment. */
export const GOLDEN = process.env.WEFT_VAD_GOLDEN ?? fileURLToPath(new URL("../../tests/fixtures/silero_beckett.json", import.meta.url));

/** `probabilities` are those of the begin of `samples`. From the files that WEFT_VAD_WEIGHTS and WEFT_VAD_SAMPLE name; `undefined` without them. */
export function material() {
  const { WEFT_VAD_WEIGHTS: weights, WEFT_VAD_SAMPLE: sample } = process.env;
  if (!weights || !sample) return undefined;
  const sound = samples(fs.readFileSync(sample));
  // The network takes 320 frames at once: with its begin once more the sample is longer than that.
  const longer = new Float32Array(sound.length - (sound.length % 512) + 40 * 512);
  longer.set(sound);
  longer.set(sound.subarray(0, 40 * 512), longer.length - 40 * 512);
  return {
    weights: new Uint8Array(fs.readFileSync(weights)).buffer,
    samples: longer,
    probabilities: JSON.parse(fs.readFileSync(GOLDEN, "utf8")).probabilities,
  };
}

/** A WAV of 16-bit mono at 16 kHz, which is what the sample is. */
function samples(wav) {
  let at = 12;
  while (wav.toString("latin1", at, at + 4) !== "data") {
    if (wav.toString("latin1", at, at + 4) === "fmt ") {
      const [format, channels, rate, bits] = [wav.readUInt16LE(at + 8), wav.readUInt16LE(at + 10), wav.readUInt32LE(at + 12), wav.readUInt16LE(at + 22)];
      if (format !== 1 || channels !== 1 || rate !== 16_000 || bits !== 16) throw new Error(`the sample is format ${format}, ${channels} channels, ${rate} Hz, ${bits} bits`);
    }
    at += 8 + wav.readUInt32LE(at + 4);
    if (at + 8 > wav.length) throw new Error("the sample is no WAV");
  }
  const bytes = wav.subarray(at + 8, at + 8 + wav.readUInt32LE(at + 4));
  return Float32Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readInt16LE(2 * i) / 32768);
}
