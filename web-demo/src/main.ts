import { Detector } from "./detector";
import { decoded } from "./decode";
import { Microphone } from "./microphone";
import { RATE, Recording } from "./recording";
import { Timeline, clock } from "./timeline";

function element<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as E;
}

const query = new URLSearchParams(location.search);
const timeline = new Timeline(element<HTMLCanvasElement>("picture"));
const slider = element("timeline");
const player = element<HTMLAudioElement>("player");
const microphoneButton = element<HTMLButtonElement>("microphone");
const playButton = element<HTMLButtonElement>("play");
const fileInput = element<HTMLInputElement>("file");
const progress = element<HTMLProgressElement>("progress");

let backend = choice(query.get("backend"));
let detector: Promise<Detector> | undefined;
let recording: Recording | undefined;
let microphone: Microphone | undefined;
let job = new AbortController();

function choice(value: string | null): "auto" | "webgpu" | "cpu" {
  return value === "webgpu" || value === "cpu" ? value : "auto";
}

/** What tests and style sheets see: idle, busy, live, done or failed. */
function state(name: string): void {
  document.documentElement.dataset["state"] = name;
}

function say(text: string): void {
  element("status").textContent = text;
}

function notice(text: string, kind: "note" | "error" = "note"): void {
  const place = element("notice");
  place.textContent = text;
  place.dataset["kind"] = kind;
  place.hidden = text === "";
}

function explained(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone is blocked. Allow it in the browser's address bar, or open a file instead.";
    case "NotFoundError":
      return "There is no microphone on this machine. Open a file, or try the sample.";
    case "GpuUnavailableError":
      return `WebGPU cannot be used: ${error.message}. Choose CPU: it gives the same probabilities.`;
    default:
      return error.message;
  }
}

function failed(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  state("failed");
  notice(explained(error), "error");
  progress.hidden = true;
}

/** The network on the chosen backend; made once. */
function network(): Promise<Detector> {
  detector ??= Detector.open({ backend, subgroups: query.get("subgroups") === "1" }, lost).then(
    (made) => {
      const { backend: runs, adapter, software, subgroups, fallbackReason } = made.info;
      const device = runs === "cpu" ? "CPU, WebAssembly" : `WebGPU, ${adapter}${software ? " (software)" : ""}`;
      element("device").textContent = subgroups ? `${device}, subgroups` : device;
      document.documentElement.dataset["backend"] = runs;
      notice(fallbackReason ? `Running on the CPU, with the same results: ${fallbackReason}.` : "");
      return made;
    },
    (error: unknown) => {
      detector = undefined;
      element("device").textContent = "none";
      throw error;
    },
  );
  return detector;
}

function lost(message: string): void {
  detector = undefined;
  notice(`The GPU was lost (${message || "no reason given"}). The next recording gets a new one.`);
}

/** What the play button plays. */
function playable(sound: Blob | undefined): void {
  URL.revokeObjectURL(player.src);
  if (sound) player.src = URL.createObjectURL(sound);
  playButton.disabled = !sound;
}

/** Whether the microphone button ends a recording. */
function listening(on: boolean): void {
  microphoneButton.dataset["on"] = String(on);
  const label = microphoneButton.querySelector("span");
  if (label) label.textContent = on ? "Stop" : "Microphone";
}

/** Ends what runs, and starts anew with this recording. */
async function begin(next: Recording | undefined, sound?: Blob): Promise<AbortSignal> {
  job.abort();
  job = new AbortController();
  await microphone?.close();
  microphone = undefined;
  listening(false);
  player.pause();
  playable(sound);
  recording = next;
  timeline.show(next);
  element("hint").hidden = next !== undefined;
  notice("");
  show();
  return job.signal;
}

async function listenTo(file: Blob, name: string): Promise<void> {
  const next = new Recording(name);
  const signal = await begin(next, file);
  state("busy");
  try {
    say(`Reading ${name}`);
    const sound = await decoded(file, name);
    signal.throwIfAborted();
    next.add(sound);
    await examine(next, signal);
  } catch (error) {
    if (!signal.aborted) failed(error);
  }
}

/** Runs the network over a recording that is there already. */
async function examine(next: Recording, signal: AbortSignal): Promise<void> {
  state("busy");
  next.forget();
  show();
  say(`Looking for speech in ${next.name}`);
  const made = await network();
  signal.throwIfAborted();
  progress.hidden = false;
  await made.run(next, signal, show);
  progress.hidden = true;
  show();
  list();
  state("done");
  say(`${next.segments.length} segments of speech in ${clock(next.seconds)}`);
}

async function record(): Promise<void> {
  if (microphone) return stop();
  const next = new Recording("Microphone");
  next.live = true;
  const signal = await begin(next);
  state("busy");
  try {
    const made = await network();
    const stream = await made.stream();
    let busy: Promise<void> = Promise.resolve();
    const opened = await Microphone.open((frame) => {
      if (!next.live) return;
      next.add(frame);
      timeline.draw();
      busy = busy.then(() => made.hear(next, stream, frame, signal)).then(show, (error: unknown) => {
        if (!signal.aborted) failed(error);
      });
    });
    if (signal.aborted) return await opened.close();
    microphone = opened;
    listening(true);
    state("live");
    say("Listening");
  } catch (error) {
    if (!signal.aborted) failed(error);
  }
}

async function stop(): Promise<void> {
  await microphone?.close();
  microphone = undefined;
  listening(false);
  if (!recording) return;
  recording.live = false;
  playable(wav(recording.parts));
  show();
  list();
  state("done");
  say(`${recording.segments.length} segments of speech`);
}

/** Samples at 16 kHz as a file that the browser can play. */
function wav(parts: readonly Float32Array[]): Blob {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (at: number, word: string): void => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * length, true);
  text(8, "WAVEfmt ");
  [16, 0x10001, RATE, 2 * RATE, 0x100002].forEach((word, i) => view.setUint32(16 + 4 * i, word, true));
  text(36, "data");
  view.setUint32(40, 2 * length, true);
  let at = 44;
  for (const part of parts) for (const sample of part) view.setInt16((at += 2) - 2, 32767 * Math.max(-1, Math.min(1, sample)), true);
  return new Blob([view], { type: "audio/wav" });
}

function show(): void {
  const r = recording;
  timeline.draw();
  element("name").textContent = r?.name ?? "No sound yet";
  element("clock").textContent = r ? clock(r.seconds, r.seconds < 60) : "";
  document.documentElement.dataset["frames"] = String(r?.frames ?? 0);
  const heard = r ? (r.frames * 512) / RATE : 0;
  progress.value = r && r.seconds > 0 ? heard / r.seconds : 0;
  slider.setAttribute("aria-valuemax", String(Math.round(r?.seconds ?? 0)));
  if (!r || r.frames === 0) {
    for (const id of ["speed", "share"]) element(id).textContent = "–";
    if (!r?.frames) list();
    return;
  }
  const times = (heard * 1000) / r.took;
  element("speed").textContent = r.live
    ? `${(r.took / r.frames).toFixed(1)} ms for each 32 ms of sound`
    : `${times < 10 ? times.toFixed(1) : Math.round(times)}× real time (factor ${(1 / times).toPrecision(2)})`;
  const speech = r.segments.reduce((sum, { start, end }) => sum + end - start, 0);
  element("share").textContent = `${speech.toFixed(1)} s of ${heard.toFixed(1)} s (${Math.round((100 * speech) / heard)} %)`;
  if (r.live) list();
}

let listed = "";

function list(): void {
  const segments = recording?.segments ?? [];
  element("count").textContent = segments.length ? String(segments.length) : "";
  element("none").hidden = segments.length > 0;
  const silent = playButton.disabled;
  const key = `${silent} ${segments.length} ${segments.at(-1)?.end}`;
  if (key === listed) return;
  listed = key;
  element("segments").replaceChildren(
    ...segments.map(({ start, end }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.disabled = silent;
      button.textContent = `${clock(start, true)} – ${clock(end, true)}`;
      button.setAttribute("aria-label", `Play speech from ${clock(start, true)} to ${clock(end, true)}`);
      button.addEventListener("click", () => play(start, end));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

let until = Infinity;

function play(from: number, to = Infinity): void {
  until = to;
  player.currentTime = from;
  void player.play().catch(failed);
}

function follow(): void {
  timeline.playhead = player.currentTime;
  slider.setAttribute("aria-valuenow", player.currentTime.toFixed(1));
  slider.setAttribute("aria-valuetext", `${clock(player.currentTime, true)} of ${clock(recording?.seconds ?? 0)}`);
  if (player.currentTime >= until) player.pause();
  if (!player.paused) requestAnimationFrame(follow);
}

function seek(time: number): void {
  if (playButton.disabled) return;
  until = Infinity;
  player.currentTime = Math.max(0, Math.min(time, recording?.seconds ?? 0));
}

player.addEventListener("play", () => {
  playButton.setAttribute("aria-label", "Pause");
  playButton.dataset["playing"] = "true";
  follow();
});
player.addEventListener("pause", () => {
  playButton.setAttribute("aria-label", "Play");
  delete playButton.dataset["playing"];
});
player.addEventListener("seeked", follow);
playButton.addEventListener("click", () => (player.paused ? play(player.ended ? 0 : player.currentTime) : player.pause()));

slider.addEventListener("pointerdown", (event) => {
  const { left, width } = slider.getBoundingClientRect();
  seek(timeline.timeAt((event.clientX - left) / width));
});
slider.addEventListener("keydown", (event) => {
  const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
  const step = steps[event.key];
  if (step !== undefined) seek(player.currentTime + step);
  else if (event.key === " ") playButton.click();
  else return;
  event.preventDefault();
});

microphoneButton.addEventListener("click", () => void record());
element("choose").addEventListener("click", () => fileInput.click());
fileInput.addEventListener("change", () => {
  const [file] = fileInput.files ?? [];
  if (file) void listenTo(file, file.name);
  fileInput.value = "";
});

async function sample(): Promise<void> {
  try {
    const answer = await fetch("sample.wav");
    if (!answer.ok) throw new Error(`sample.wav is not on this server (${answer.status}): \`cargo xtask demo\` puts it there.`);
    await listenTo(await answer.blob(), "Sample recording");
  } catch (error) {
    failed(error);
  }
}
element("sample").addEventListener("click", () => void sample());

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget === null && document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer?.files ?? [];
  if (file) void listenTo(file, file.name);
});

for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=backend]")) {
  radio.checked = radio.value === backend;
  radio.addEventListener("change", () => void use(choice(radio.value)));
}

/** Another backend, on the same recording. */
async function use(wanted: typeof backend): Promise<void> {
  backend = wanted;
  const old = detector;
  detector = undefined;
  element("device").textContent = "starting…";
  if (microphone) await stop();
  job.abort();
  job = new AbortController();
  const { signal } = job;
  void old?.then((made) => made.dispose(), () => {});
  notice("");
  try {
    if (recording?.samples) await examine(recording, signal);
    else await network();
  } catch (error) {
    if (!signal.aborted) failed(error);
  }
}

state("idle");
show();
if (query.get("sample") === "1") void sample();
else network().catch(failed);
