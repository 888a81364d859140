/// <reference lib="esnext.disposable" preserve="true" />

/**
 * The same package in a worker of its own, so that nothing it does holds up the page.
 *
 * ```ts
 * import { WeftWorker } from "weft-gpu/worker";
 * const worker = await WeftWorker.start({ backend: "auto" });
 * const vad = await worker.loadVad("/vad.safetensors");
 * const probabilities = await vad.probabilities(samples);
 * ```
 *
 * Arguments are copied to the worker, results are moved back.
 */
import type { CellInput, CellLoadOptions, CellOutput, CellWeights } from "./cells.js";
import type { ContextInfo, ContextOptions, LostInfo } from "./context.js";
import type { CtcBatch, CtcLossOptions, CtcResult } from "./ctc.js";
import { DisposedError, LoadError } from "./errors.js";
import type { Alignment } from "./lattices.js";
import type { LossBatch, LossResult, RunOptions, TransducerLossOptions } from "./loss.js";
import { type Call, type Remote, type Reply, type Request, isRemote, mapped, revived } from "./protocol.js";
import type { Segment, SegmentOptions, VadRunOptions } from "./vad.js";
import type { LoadOptions } from "./weights.js";

export interface WorkerOptions extends ContextOptions {
  /** The compiled module, as `init` gives it, to spare the worker a second compilation. */
  readonly module?: WebAssembly.Module | undefined;
}

/** A safetensors file: its address, relative to the page, or its bytes. */
export type FarWeights = string | URL | ArrayBuffer | ArrayBufferView;

interface Heed {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: never) => void) | undefined;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onProgress: ((progress: never) => void) | undefined;
}

/** The calls that are under way. */
class Line {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #ended: Error | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.addEventListener("message", (event: MessageEvent<Reply>) => this.#heard(event.data));
    worker.addEventListener("error", (event) => {
      this.end(new LoadError(`the worker failed: ${event.message || "its script could not be loaded"}`));
    });
  }

  async call<T>(to: number, method: string, args: readonly unknown[], { signal, onProgress }: Heed = {}): Promise<T> {
    signal?.throwIfAborted();
    if (this.#ended) throw this.#ended;
    const id = this.#next++;
    let aborted = (): void => {};
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject, onProgress });
        aborted = () => {
          this.send({ abort: id });
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", aborted);
        this.send({ id, to, method, args: args.map((arg) => mapped(arg, outgoing)), progress: onProgress !== undefined } satisfies Call);
      });
    } finally {
      this.#waiting.delete(id);
      signal?.removeEventListener("abort", aborted);
    }
  }

  send(request: Request): void {
    if (!this.#ended) this.#worker.postMessage(request);
  }

  end(error: Error): void {
    this.#ended ??= error;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #heard(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if (!waiting) {
      // Aborted meanwhile: nobody will ever name what was made.
      if ("value" in reply) mapped(reply.value, (value) => isRemote(value) && this.send({ dispose: value.remote }));
    } else if ("progress" in reply) {
      waiting.onProgress?.(reply.progress as never);
    } else if ("error" in reply) {
      waiting.reject(revived(reply.error));
    } else {
      waiting.resolve(reply.value);
    }
  }
}

function outgoing(value: unknown): unknown {
  if (value instanceof Far) return value.reference;
  return value instanceof URL ? value.href : value;
}

/** Something that lives in the worker. */
class Far {
  /** @internal */
  readonly line: Line;
  /** @internal */
  readonly reference: Remote;

  /** @internal */
  constructor(line: Line, reference: Remote) {
    this.line = line;
    this.reference = reference;
  }

  /** @internal */
  call<T>(method: string, args: readonly unknown[], heed?: Heed): Promise<T> {
    return this.line.call<T>(this.reference.remote, method, args, heed);
  }

  /** Frees its memory in the worker. */
  dispose(): void {
    this.line.send({ dispose: this.reference.remote });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A `Vad` in the worker. */
export class FarVad extends Far {
  /** As `Vad.probabilities`. */
  probabilities(samples: Float32Array, options: VadRunOptions = {}): Promise<Float32Array> {
    return this.call("probabilities", [samples, {}], options);
  }

  /** As `Vad.stream`. */
  async stream(): Promise<FarVadStream> {
    return new FarVadStream(this.line, await this.call<Remote>("stream", []));
  }
}

/** A `VadStream` in the worker. */
export class FarVadStream extends Far {
  /** As `VadStream.push`. */
  push(samples: Float32Array, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    return this.call("push", [samples, {}], options);
  }

  /** As `VadStream.reset`. */
  reset(): Promise<void> {
    return this.call("reset", []);
  }
}

/** A `LatticeResult` whose lattices are in the worker. */
export interface FarLatticeResult extends LossResult {
  readonly lattices: FarLattices;
}

/** A `TransducerLoss` in the worker. */
export class FarTransducerLoss extends Far {
  /** As `TransducerLoss.run`. */
  run(batch: LossBatch, options: RunOptions = {}): Promise<LossResult> {
    return this.call("run", [batch, {}], options);
  }

  /** As `TransducerLoss.lattice`. */
  async lattice(batch: LossBatch, options: RunOptions = {}): Promise<FarLatticeResult> {
    const { lattices, ...result } = await this.call<LossResult & { lattices: Remote }>("lattice", [batch, {}], options);
    return { ...result, lattices: new FarLattices(this.line, lattices) };
  }
}

/** `Lattices` in the worker. */
export class FarLattices extends Far {
  /** As `Lattices.shape`. */
  shape(utterance: number): Promise<[number, number, number]> {
    return this.call("shape", [utterance]);
  }

  /** As `Lattices.bestPath`. */
  bestPath(utterance: number): Promise<Alignment | undefined> {
    return this.call("bestPath", [utterance]);
  }

  /** As `Lattices.kBest`. */
  kBest(utterance: number, k: number): Promise<Alignment[]> {
    return this.call("kBest", [utterance, k]);
  }

  /** As `Lattices.sample`. */
  sample(utterance: number, amount: number, seed: number | bigint): Promise<Alignment[]> {
    return this.call("sample", [utterance, amount, seed]);
  }

  /** As `Lattices.occupancies`. */
  occupancies(utterance: number): Promise<Float64Array> {
    return this.call("occupancies", [utterance]);
  }

  /** As `Lattices.entropy`. */
  entropy(utterance: number): Promise<number | undefined> {
    return this.call("entropy", [utterance]);
  }

  /** As `Lattices.expectedFrames`. */
  expectedFrames(utterance: number): Promise<Float64Array> {
    return this.call("expectedFrames", [utterance]);
  }
}

/** A `CtcLoss` in the worker. */
export class FarCtcLoss extends Far {
  /** As `CtcLoss.run`. */
  run(batch: CtcBatch, options: RunOptions = {}): Promise<CtcResult> {
    return this.call("run", [batch, {}], options);
  }
}

/** The state of a layer in the worker. */
export class FarState extends Far {
  /** Reads h, row-major [N, H]. */
  h(): Promise<Float32Array> {
    return this.call("h", []);
  }
}

/** The state of an LSTM in the worker. */
export class FarLstmState extends FarState {
  /** Reads c, row-major [N, H]. */
  c(): Promise<Float32Array> {
    return this.call("c", []);
  }
}

class FarLayer<S extends FarState> extends Far {
  readonly #state: new (line: Line, reference: Remote) => S;

  /** @internal */
  constructor(line: Line, reference: Remote, state: new (line: Line, reference: Remote) => S) {
    super(line, reference);
    this.#state = state;
  }

  /** As `Lstm.forward` and `Gru.forward`. */
  async forward(input: CellInput<S>): Promise<CellOutput<S>> {
    const { signal, ...rest } = input;
    const out = await this.call<CellOutput<Remote>>("forward", [rest], { signal });
    return { ...out, state: new this.#state(this.line, out.state) };
  }
}

/** An `Lstm` in the worker. */
export class FarLstm extends FarLayer<FarLstmState> {
  /** @internal */
  constructor(line: Line, reference: Remote) {
    super(line, reference, FarLstmState);
  }
}

/** A `Gru` in the worker. */
export class FarGru extends FarLayer<FarState> {
  /** @internal */
  constructor(line: Line, reference: Remote) {
    super(line, reference, FarState);
  }
}

/** A worker with a context in it. Every method is as the one of its name on the page, and throws the same errors. */
export class WeftWorker {
  /** What the worker's context runs on. */
  readonly info: ContextInfo;
  /** Resolves when the worker's device is gone: start a new worker then. Never resolves on the CPU. */
  readonly lost: Promise<LostInfo>;
  readonly #line: Line;

  private constructor(line: Line, info: ContextInfo) {
    this.#line = line;
    this.info = info;
    this.lost = this.#root<LostInfo>("lost", []).catch(() => ({ reason: "destroyed", message: "the worker has been disposed of" }));
  }

  /**
   * Starts a worker and opens a context in it.
   *
   * @throws {LoadError} if the worker's script or the WebAssembly module cannot be loaded, and as `createContext`
   */
  static async start(options: WorkerOptions = {}): Promise<WeftWorker> {
    const { module, ...rest } = options;
    const line = new Line(new Worker(new URL("./worker-main.js", import.meta.url), { type: "module", name: "weft-gpu" }));
    try {
      return new WeftWorker(line, await line.call<ContextInfo>(0, "open", [rest, module]));
    } catch (error) {
      line.end(new DisposedError("this worker never started"));
      throw error;
    }
  }

  /** As `Vad.load`. */
  async loadVad(source: FarWeights, options: LoadOptions = {}): Promise<FarVad> {
    return new FarVad(this.#line, await this.#load("loadVad", source, {}, options));
  }

  /** As the page's `segments`. */
  segments(probabilities: Float32Array, samples: number, options: SegmentOptions = {}): Promise<Segment[]> {
    return this.#root("segments", [probabilities, samples, options]);
  }

  /** As `new TransducerLoss`. */
  async transducerLoss(options: Omit<TransducerLossOptions, "gpu"> = {}): Promise<FarTransducerLoss> {
    return new FarTransducerLoss(this.#line, await this.#root("transducerLoss", [options]));
  }

  /** As `new CtcLoss`. */
  async ctcLoss(options: Omit<CtcLossOptions, "gpu"> = {}): Promise<FarCtcLoss> {
    return new FarCtcLoss(this.#line, await this.#root("ctcLoss", [options]));
  }

  /** As `Lstm.create`. */
  async createLstm(weights: CellWeights): Promise<FarLstm> {
    return new FarLstm(this.#line, await this.#root("createLstm", [weights]));
  }

  /** As `Lstm.load`. */
  async loadLstm(source: FarWeights, options: Omit<CellLoadOptions, "gpu"> = {}): Promise<FarLstm> {
    return new FarLstm(this.#line, await this.#load("loadLstm", source, { prefix: options.prefix }, options));
  }

  /** As `Gru.create`. */
  async createGru(weights: CellWeights): Promise<FarGru> {
    return new FarGru(this.#line, await this.#root("createGru", [weights]));
  }

  /** As `Gru.load`. */
  async loadGru(source: FarWeights, options: Omit<CellLoadOptions, "gpu"> = {}): Promise<FarGru> {
    return new FarGru(this.#line, await this.#load("loadGru", source, { prefix: options.prefix }, options));
  }

  /** Ends the worker and frees everything in it. Calls that wait fail with {@link DisposedError}. */
  dispose(): void {
    this.#line.end(new DisposedError("this worker has been disposed of"));
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #root<T>(method: string, args: readonly unknown[], heed?: Heed): Promise<T> {
    return this.#line.call<T>(0, method, args, heed);
  }

  #load(method: string, source: FarWeights, more: object, options: LoadOptions): Promise<Remote> {
    // A worker would take an address as relative to its own script.
    const place = typeof source === "string" ? new URL(source, location.href).href : source;
    return this.#root<Remote>(method, [place, { ...more, integrity: options.integrity }], options);
  }
}

export type { CellInput, CellLoadOptions, CellOutput, CellWeights } from "./cells.js";
export type { ContextInfo, ContextOptions, LostInfo } from "./context.js";
export type { CtcAlignment, CtcBatch, CtcLossOptions, CtcResult } from "./ctc.js";
export type { Alignment, Emission, PathArc } from "./lattices.js";
export type { LossBatch, LossResult, RunOptions, TransducerLossOptions } from "./loss.js";
export type { Segment, SegmentOptions, VadProgress, VadRunOptions } from "./vad.js";
export type { LoadOptions, LoadProgress } from "./weights.js";
