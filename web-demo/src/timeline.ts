import { FRAME, RATE, type Recording } from "./recording";

/** What a microphone's picture shows, seconds. */
const WINDOW = 12;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** The picture of a recording: sound, segments, and the curve of probabilities over one axis of time. */
export class Timeline {
  readonly #canvas: HTMLCanvasElement;
  readonly #pen: CanvasRenderingContext2D;
  #recording: Recording | undefined;
  #playhead = 0;
  #pending = false;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    const pen = canvas.getContext("2d");
    if (!pen) throw new Error("This browser draws no canvas.");
    this.#pen = pen;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(recording: Recording | undefined): void {
    this.#recording = recording;
    this.#playhead = 0;
    this.draw();
  }

  /** Seconds. */
  set playhead(time: number) {
    this.#playhead = time;
    this.draw();
  }

  /** The time at a place of the picture, 0 to 1 from the left. */
  timeAt(part: number): number {
    const [from, to] = this.#span();
    return Math.min(Math.max(from + part * (to - from), 0), this.#recording?.seconds ?? 0);
  }

  /** Draws with the next frame. */
  draw(): void {
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => {
      this.#pending = false;
      this.#paint();
    });
  }

  #span(): [number, number] {
    const seconds = this.#recording?.seconds ?? 0;
    if (!this.#recording?.live) return [0, Math.max(seconds, 0.001)];
    // Pages instead of a scroll, for those who asked for less motion.
    const end = calm.matches ? Math.ceil(Math.max(seconds, 0.001) / WINDOW) * WINDOW : Math.max(seconds, WINDOW);
    return [end - WINDOW, end];
  }

  #paint(): void {
    const { width, height } = this.#canvas.getBoundingClientRect();
    const scale = devicePixelRatio;
    const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.#canvas.width !== w || this.#canvas.height !== h) Object.assign(this.#canvas, { width: w, height: h });
    const pen = this.#pen;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const recording = this.#recording;
    if (!recording) return;

    const style = getComputedStyle(this.#canvas);
    const color = (name: string): string => style.getPropertyValue(`--${name}`);
    const [from, to] = this.#span();
    const x = (time: number): number => ((time - from) / (to - from)) * width;
    const axis = 22;
    const wave = { top: 8, bottom: Math.round((height - axis) * 0.52) };
    const curve = { top: wave.bottom + 14, bottom: height - axis };

    for (const { start, end } of recording.segments) {
      pen.fillStyle = color("band");
      pen.fillRect(x(start), 0, Math.max(x(end) - x(start), 1), height - axis);
      pen.fillStyle = color("speech");
      pen.fillRect(x(start), 0, Math.max(x(end) - x(start), 1), 3);
    }
    this.#wave(recording, wave, width, [from, to], color);
    this.#axis(width, height, axis, [from, to], color);
    this.#curve(recording, curve, width, [from, to], color);
    if (!recording.live) {
      pen.fillStyle = color("ink");
      pen.fillRect(Math.min(Math.max(x(this.#playhead) - 0.75, 0), width - 1.5), 0, 1.5, height - axis);
    }
  }

  #wave(recording: Recording, { top, bottom }: Strip, width: number, [from, to]: Span, color: Color): void {
    const pen = this.#pen;
    const centre = (top + bottom) / 2;
    const frames = Math.ceil(recording.samples / FRAME);
    const perPixel = ((to - from) * RATE) / FRAME / width;
    const first = (from * RATE) / FRAME;
    let loudest = 0.05;
    for (let i = Math.max(0, Math.floor(first)); i < frames; i++) loudest = Math.max(loudest, recording.peaks[i] ?? 0);
    // Bars of two pixels and a gap of one are calmer than a solid shape.
    for (let px = 0; px < width; px += 3) {
      const begin = Math.floor(first + px * perPixel);
      const end = Math.max(begin + 1, Math.floor(first + (px + 3) * perPixel));
      if (end <= 0 || begin >= frames) continue;
      let peak = 0;
      for (let i = Math.max(begin, 0); i < Math.min(end, frames); i++) peak = Math.max(peak, recording.peaks[i] ?? 0);
      const time = (((begin + end) / 2) * FRAME) / RATE;
      const spoken = recording.segments.some((segment) => segment.start <= time && time < segment.end);
      pen.fillStyle = color(spoken ? "speech" : "wave");
      const half = Math.max(0.75, ((peak / loudest) * (bottom - top)) / 2);
      pen.fillRect(px, centre - half, 2, 2 * half);
    }
  }

  #curve(recording: Recording, { top, bottom }: Strip, width: number, [from, to]: Span, color: Color): void {
    const pen = this.#pen;
    const y = (p: number): number => bottom - p * (bottom - top);
    pen.strokeStyle = color("line");
    pen.lineWidth = 1;
    pen.setLineDash([]);
    pen.beginPath();
    for (const p of [0, 1]) {
      pen.moveTo(0, Math.round(y(p)) + 0.5);
      pen.lineTo(width, Math.round(y(p)) + 0.5);
    }
    pen.stroke();
    pen.setLineDash([4, 4]);
    pen.strokeStyle = color("quiet");
    pen.beginPath();
    pen.moveTo(0, Math.round(y(0.5)) + 0.5);
    pen.lineTo(width, Math.round(y(0.5)) + 0.5);
    pen.stroke();
    pen.setLineDash([]);
    if (recording.frames === 0) return;

    const first = (from * RATE) / FRAME;
    const perPixel = ((to - from) * RATE) / FRAME / width;
    pen.beginPath();
    let last = 0;
    let begun = false;
    for (let px = 0; px <= width; px++) {
      const begin = Math.floor(first + px * perPixel);
      const end = Math.max(begin + 1, Math.floor(first + (px + 1) * perPixel));
      if (end <= 0 || begin >= recording.frames) continue;
      let p = 0;
      for (let i = Math.max(begin, 0); i < Math.min(end, recording.frames); i++) p = Math.max(p, recording.probabilities[i] ?? 0);
      if (begun) pen.lineTo(px, y(p));
      else pen.moveTo(px, y(p));
      begun = true;
      last = px;
    }
    pen.strokeStyle = color("probability");
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    pen.stroke();
    if (!recording.live) return;
    pen.fillStyle = color("probability");
    pen.beginPath();
    pen.arc(last, y(recording.probabilities[recording.frames - 1] ?? 0), 4, 0, 2 * Math.PI);
    pen.fill();
  }

  #axis(width: number, height: number, axis: number, [from, to]: Span, color: Color): void {
    const pen = this.#pen;
    const step = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((s) => (s / (to - from)) * width >= 64) ?? 7200;
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "left";
    for (let time = Math.max(0, Math.ceil(from / step) * step); time <= to; time += step) {
      const px = ((time - from) / (to - from)) * width;
      pen.fillStyle = color("line");
      pen.fillRect(Math.round(px), height - axis, 1, 5);
      pen.fillStyle = color("quiet");
      if (px < width - 36) pen.fillText(clock(time, step < 1), px + 4, height - 6);
    }
  }
}

interface Strip {
  readonly top: number;
  readonly bottom: number;
}
type Span = readonly [from: number, to: number];
type Color = (name: string) => string;

/** 83.4 as 1:23, or 1:23.4. */
export function clock(seconds: number, tenths = false): string {
  const shown = tenths ? Math.round(seconds * 10) / 10 : Math.floor(seconds + 1e-9);
  const rest = (shown % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, "0");
  return `${Math.floor(shown / 60)}:${rest}`;
}
