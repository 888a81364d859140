import { WeightsError } from "./errors.js";
import type { WasmWeights } from "./weft_wasm.js";
import { call, init, opened } from "./module.js";
import { Owned } from "./owned.js";

/** How far a download is. */
export interface LoadProgress {
  /** Bytes that have come. */
  readonly loaded: number;
  /** Bytes in all; `undefined` if the server does not say. */
  readonly total: number | undefined;
}

export interface LoadOptions {
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Subresource integrity (`sha256-…`) that a fetched file must have. */
  readonly integrity?: string | undefined;
}

/** A safetensors file: its address, or its bytes. */
export type WeightsSource = string | URL | ArrayBuffer | ArrayBufferView | Weights;

/** The tensors of a safetensors file, by name. */
export class Weights extends Owned {
  /**
   * Fetches (or takes) a safetensors file.
   *
   * @throws {WeightsError} if it cannot be fetched, is empty, truncated, or no safetensors at all
   */
  static async load(source: WeightsSource, options: LoadOptions = {}): Promise<Weights> {
    if (source instanceof Weights) return source;
    await init();
    const file = typeof source === "string" || source instanceof URL ? await fetched(source, options) : bytes(source);
    return new Weights(await call((glue) => glue.WasmWeights.from_bytes(file), options.signal));
  }

  /** @internal */
  override get handle(): WasmWeights {
    return super.handle as WasmWeights;
  }

  /** Names of all tensors. */
  get names(): string[] {
    return this.handle.names();
  }

  /** Sides of a tensor, outermost first; `undefined` if there is none of that name. */
  shape(name: string): number[] | undefined {
    const sides = this.handle.shape(name);
    return sides && [...sides];
  }
}

function bytes(source: ArrayBuffer | ArrayBufferView): Uint8Array {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  throw new WeightsError(`weights: ${String(source)}: must be an address, an ArrayBuffer or a typed array`);
}

async function fetched(url: string | URL, { onProgress, signal, integrity }: LoadOptions): Promise<Uint8Array> {
  try {
    const response = await opened(url, { signal: signal ?? null, ...(integrity !== undefined && { integrity }) });
    if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`);
    if (!onProgress || !response.body) return new Uint8Array(await response.arrayBuffer());
    return await read(response.body, Number(response.headers.get("content-length")) || undefined, onProgress);
  } catch (error) {
    signal?.throwIfAborted();
    throw new WeightsError(`weights: ${String(url)}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function read(body: ReadableStream<Uint8Array>, total: number | undefined, onProgress: (progress: LoadProgress) => void): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let loaded = 0;
  const reader = body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    loaded += part.value.length;
    onProgress({ loaded, total });
  }
  const whole = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
