const RATE = 16_000;

/** A recording of any format that the browser knows, as mono samples at 16 kHz. */
export async function decoded(file: Blob, name: string): Promise<Float32Array> {
  const bytes = await file.arrayBuffer();
  // Decoding resamples to the rate of the context.
  const context = new OfflineAudioContext(1, 1, RATE);
  const sound = await context.decodeAudioData(bytes).catch(() => {
    throw new Error(`${name} is not a recording that this browser can read (${file.size.toLocaleString("en")} bytes).`);
  });
  const mono = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    const samples = sound.getChannelData(channel);
    for (let i = 0; i < mono.length; i++) mono[i] = (mono[i] ?? 0) + (samples[i] ?? 0) / sound.numberOfChannels;
  }
  return mono;
}
