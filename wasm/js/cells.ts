import { count, floats, shape, words } from "./arrays.js";
import type { Context } from "./context.js";
import { ShapeError, translated } from "./errors.js";
import type { WasmGruState, WasmLstmState } from "./weft_wasm.js";
import { type Glue, alive, call } from "./module.js";
import { Owned } from "./owned.js";
import { type LoadOptions, Weights, type WeightsSource } from "./weights.js";

/** Weights of one layer, row-major, as PyTorch has them. G is 4 for an LSTM (rows i, f, g, o), 3 for a GRU (r, z, n). */
export interface CellWeights {
  /** I. */
  readonly inputSize: number;
  /** H. */
  readonly hiddenSize: number;
  /** [G H, I] */
  readonly weightIh: Float32Array;
  /** [G H, H] */
  readonly weightHh: Float32Array;
  /** [G H]; both biases or neither. */
  readonly biasIh?: Float32Array | undefined;
  /** [G H] */
  readonly biasHh?: Float32Array | undefined;
}

export interface CellLoadOptions extends LoadOptions {
  /** Where it runs. */
  readonly gpu: Context;
  /** Tensors are `PREFIX.weight_ih`, `PREFIX.weight_hh`, `PREFIX.bias_ih`, `PREFIX.bias_hh`, or those with PyTorch's suffix `_l0`. */
  readonly prefix?: string | undefined;
}

/** N sequences of T frames, time first. */
export interface CellInput<S> {
  /** Row-major [T, N, I]. */
  readonly x: Float32Array;
  /** [T, N, I]. */
  readonly shape: readonly [number, number, number];
  /** Frames of each sequence, [N]; default: all have T. */
  readonly lengths?: ArrayLike<number> | undefined;
  /** What an earlier call gave; default zero. */
  readonly state?: S | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CellOutput<S> {
  /** h of every frame, row-major [T, N, H]; zero beyond the length of a sequence. */
  readonly y: Float32Array;
  /** [T, N, H]. */
  readonly shape: readonly [number, number, number];
  /** The state after the last frame of each sequence, for the next call. */
  readonly state: S;
}

/** What a layer carries from call to call. It stays on the device, and no call changes it. */
class CellState extends Owned {
  /** @internal */
  override get handle(): WasmLstmState | WasmGruState {
    return super.handle as WasmLstmState | WasmGruState;
  }

  /** @internal */
  async part(index: number): Promise<Float32Array> {
    const all = (await call(() => this.handle.read())) as Float32Array;
    const parts = this instanceof LstmState ? 2 : 1;
    return all.slice((index * all.length) / parts, ((index + 1) * all.length) / parts);
  }

  /** N. */
  get batch(): number {
    return this.handle.batch();
  }

  /** Reads h, row-major [N, H]. */
  h(): Promise<Float32Array> {
    return this.part(0);
  }
}

/** h and c of an {@link Lstm}. */
export class LstmState extends CellState {
  /** Reads c, row-major [N, H]. */
  c(): Promise<Float32Array> {
    return this.part(1);
  }
}

/** h of a {@link Gru}. */
export class GruState extends CellState {}

/** The two kinds of layers, as one to this file. */
interface LayerHandle {
  free(): void;
  input_size(): number;
  hidden_size(): number;
  forward(x: Float32Array, shape: Uint32Array, lengths?: Uint32Array | null): Promise<unknown>;
  forward_from(x: Float32Array, shape: Uint32Array, lengths: Uint32Array | null | undefined, state: unknown): Promise<unknown>;
}

class Layer<S extends CellState> extends Owned {
  readonly #state: new (handle: WasmLstmState | WasmGruState) => S;

  /** @internal */
  constructor(handle: LayerHandle, state: new (handle: WasmLstmState | WasmGruState) => S) {
    super(handle);
    this.#state = state;
  }

  /** @internal */
  override get handle(): LayerHandle {
    return super.handle as LayerHandle;
  }

  /** I. */
  get inputSize(): number {
    return this.handle.input_size();
  }

  /** H. */
  get hiddenSize(): number {
    return this.handle.hidden_size();
  }

  /**
   * Runs the layer over x. One frame at a time, with the state carried on, gives the same as all at once.
   * The arrays are copied before it returns its promise.
   *
   * @throws {ShapeError} {@link LengthError} {@link OtherContextError} for what does not fit
   * @throws {LimitExceededError} {@link OutOfMemoryError} {@link DeviceLostError} {@link DisposedError}
   */
  async forward(input: CellInput<S>): Promise<CellOutput<S>> {
    const [y, state] = (await call(() => {
      const x = floats("x", input.x);
      const sides = shape("shape", input.shape, "T N I");
      const lengths = input.lengths && words("lengths", input.lengths);
      return input.state ? this.handle.forward_from(x, sides, lengths, input.state.handle) : this.handle.forward(x, sides, lengths);
    }, input.signal)) as [Float32Array, WasmLstmState | WasmGruState];
    const [frames, batch] = input.shape;
    return { y, shape: [frames, batch, this.hiddenSize], state: new this.#state(state) };
  }
}

interface Kind {
  create(
    context: Context["handle"], inputs: number, hidden: number, ih: Float32Array, hh: Float32Array, biasIh?: Float32Array, biasHh?: Float32Array,
  ): LayerHandle;
  load(context: Context["handle"], weights: Weights["handle"], prefix: string): LayerHandle;
}

function created(kind: (glue: Glue) => Kind, gpu: Context, weights: CellWeights): LayerHandle {
  const { inputSize, hiddenSize, weightIh, weightHh, biasIh, biasHh } = weights;
  if (!biasIh !== !biasHh) throw new ShapeError(`${biasIh ? "biasHh" : "biasIh"}: expected both biases or neither, got one`);
  try {
    return kind(alive()).create(
      gpu.handle, count("inputSize", inputSize), count("hiddenSize", hiddenSize), floats("weightIh", weightIh), floats("weightHh", weightHh),
      biasIh && floats("biasIh", biasIh), biasHh && floats("biasHh", biasHh),
    );
  } catch (error) {
    throw translated(error);
  }
}

async function loaded(kind: (glue: Glue) => Kind, source: WeightsSource, options: CellLoadOptions): Promise<LayerHandle> {
  const weights = await Weights.load(source, options);
  try {
    return await call((glue) => kind(glue).load(options.gpu.handle, weights.handle, options.prefix ?? ""), options.signal);
  } finally {
    if (weights !== source) weights.dispose();
  }
}

/** One LSTM layer, as PyTorch has it. */
export class Lstm extends Layer<LstmState> {
  /** @internal */
  constructor(handle: LayerHandle) {
    super(handle, LstmState);
  }

  /** From arrays. @throws {ShapeError} naming the array that does not have its size */
  static create(gpu: Context, weights: CellWeights): Lstm {
    return new Lstm(created((glue) => glue.WasmLstm, gpu, weights));
  }

  /** From a safetensors file. @throws {WeightsError} if a tensor is missing or has another shape */
  static async load(source: WeightsSource, options: CellLoadOptions): Promise<Lstm> {
    return new Lstm(await loaded((glue) => glue.WasmLstm, source, options));
  }
}

/** One GRU layer, as PyTorch has it. */
export class Gru extends Layer<GruState> {
  /** @internal */
  constructor(handle: LayerHandle) {
    super(handle, GruState);
  }

  /** From arrays. @throws {ShapeError} naming the array that does not have its size */
  static create(gpu: Context, weights: CellWeights): Gru {
    return new Gru(created((glue) => glue.WasmGru, gpu, weights));
  }

  /** From a safetensors file. @throws {WeightsError} if a tensor is missing or has another shape */
  static async load(source: WeightsSource, options: CellLoadOptions): Promise<Gru> {
    return new Gru(await loaded((glue) => glue.WasmGru, source, options));
  }
}
