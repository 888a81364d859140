import workletUrl from "./recorder-worklet?worker&url";

/** A microphone that gives 512 samples at 16 kHz at a time. */
export class Microphone {
  readonly #audio: AudioContext;
  readonly #stream: MediaStream;

  private constructor(audio: AudioContext, stream: MediaStream) {
    this.#audio = audio;
    this.#stream = stream;
  }

  static async open(onFrame: (samples: Float32Array) => void): Promise<Microphone> {
    if (!navigator.mediaDevices) throw new Error("This page may not use a microphone: it must come over https, or from localhost.");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, autoGainControl: true } });
    const audio = new AudioContext();
    try {
      await audio.audioWorklet.addModule(workletUrl);
      const recorder = new AudioWorkletNode(audio, "recorder", { numberOfOutputs: 0 });
      recorder.port.addEventListener("message", ({ data }: MessageEvent<Float32Array>) => onFrame(data));
      recorder.port.start();
      audio.createMediaStreamSource(stream).connect(recorder);
      await audio.resume();
      return new Microphone(audio, stream);
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      await audio.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const track of this.#stream.getTracks()) track.stop();
    await this.#audio.close();
  }
}
