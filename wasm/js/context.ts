/// <reference lib="esnext.disposable" preserve="true" />

import { DisposedError, GpuUnavailableError, MissingFeatureError, ValueError } from "./errors.js";
import type { WasmContext } from "./weft_wasm.js";
import { call, init } from "./module.js";
import { subgroupSizes, withSubgroups } from "./subgroups.js";
import { type Found, findAdapter } from "./support.js";

/** Where calls run: `auto` is WebGPU if it can be had, else the CPU. */
export type Backend = "auto" | "webgpu" | "cpu";

export interface ContextOptions {
  /** Default `auto`. */
  readonly backend?: Backend | undefined;
  /**
   * Use subgroup kernels on WebGPU; default false. They are faster on most GPUs. The browser must have the
   * feature, and for the moment in which the device is made `GPUAdapter.prototype.requestDevice` is replaced.
   */
  readonly subgroups?: boolean | undefined;
  /** Which GPU, on a machine with several; default `high-performance`. */
  readonly powerPreference?: "high-performance" | "low-power" | undefined;
}

/** What a context runs on. */
export interface ContextInfo {
  /** Which backend runs. */
  readonly backend: "webgpu" | "cpu";
  /** Why `auto` chose the CPU; absent otherwise. */
  readonly fallbackReason?: string;
  /** The adapter, as far as the browser tells. */
  readonly adapter: string;
  /** Whether a CPU does the work: the CPU backend, or a WebGPU adapter that is software. */
  readonly software: boolean;
  /** Smallest and largest subgroup size, where subgroup kernels run; absent otherwise. */
  readonly subgroups?: readonly [number, number];
  readonly limits: {
    /** Largest buffer, bytes. */
    readonly bufferBytes: number;
    /** Largest part of a buffer that a kernel sees at once, bytes. */
    readonly bindingBytes: number;
  };
}

/** Why a device is gone. */
export interface LostInfo {
  /** `destroyed` after `dispose()` or `device.destroy()`, else `unknown`. */
  readonly reason: "destroyed" | "unknown";
  readonly message: string;
}

/** A `GPUDevice`, where the compiler's libraries know that type. */
export type Device = typeof globalThis extends { GPUDevice: { prototype: infer D } } ? D : object;

/** A device (or the CPU) that calls run on. Made by {@link createContext}. */
export class Context {
  readonly info: ContextInfo;
  /** The browser's device, to share with other code; `undefined` on the CPU. */
  readonly device: Device | undefined;
  /** Resolves when the device is gone: make a new context then. Never resolves on the CPU. */
  readonly lost: Promise<LostInfo>;
  #handle: WasmContext | undefined;

  /** @internal */
  constructor(handle: WasmContext, info: ContextInfo) {
    const device = handle.device() as GPUDevice | undefined;
    this.#handle = handle;
    this.info = info;
    this.device = device as Device | undefined;
    this.lost = device
      ? device.lost.then(({ reason, message }) => ({ reason: reason === "destroyed" ? reason : "unknown", message }))
      : new Promise<never>(() => {});
  }

  /** @internal */
  get handle(): WasmContext {
    if (!this.#handle) throw new DisposedError("this context has been disposed of: make a new one");
    return this.#handle;
  }

  /** Gives memory that is kept for later calls back to the browser. */
  trim(): void {
    this.handle.trim();
  }

  /** Destroys the device and frees its memory. Whatever was made on this context fails from now on. */
  dispose(): void {
    (this.device as GPUDevice | undefined)?.destroy();
    this.#handle?.free();
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Opens a device.
 *
 * With `auto` a browser without WebGPU gets the CPU: `info.backend` says which runs, `info.fallbackReason` why.
 *
 * @throws {GpuUnavailableError} if `webgpu` was demanded and cannot be had
 * @throws {MissingFeatureError} if `subgroups` were demanded, with `backend: "webgpu"`, of an adapter without them
 */
export async function createContext(options: ContextOptions = {}): Promise<Context> {
  const { backend = "auto", subgroups = false, powerPreference = "high-performance" } = options;
  if (!["auto", "webgpu", "cpu"].includes(backend)) {
    throw new ValueError(`backend = ${String(backend)}: must be "auto", "webgpu" or "cpu"`);
  }
  await init();
  if (backend === "cpu") return cpu();
  try {
    return await webgpu(await findAdapter(powerPreference), subgroups, backend === "webgpu", powerPreference);
  } catch (error) {
    if (backend === "auto" && error instanceof GpuUnavailableError) return cpu(error.message);
    throw error;
  }
}

async function cpu(fallbackReason?: string): Promise<Context> {
  const handle = await call((glue) => glue.open_cpu());
  return new Context(handle, { ...facts(handle, "CPU"), ...(fallbackReason !== undefined && { fallbackReason }) });
}

async function webgpu(found: Found, subgroups: boolean, strict: boolean, power: GPUPowerPreference): Promise<Context> {
  if (!found.adapter) throw new GpuUnavailableError(found.reason ?? "no adapter");
  const sizes = subgroups ? subgroupSizes(found.adapter) : undefined;
  if (subgroups && strict && !sizes) {
    throw new MissingFeatureError(`${adapterName(found.adapter)} has no subgroups in this browser: leave \`subgroups\` out`);
  }
  const [min, max] = sizes ?? [0, 0];
  const open = (): Promise<WasmContext> => call((glue) => glue.open_webgpu(power === "low-power", min, max));
  const handle = await (sizes ? withSubgroups(open) : open());
  return new Context(handle, facts(handle, adapterName(found.adapter)));
}

function facts(handle: WasmContext, adapter: string): ContextInfo {
  const [min, max] = handle.subgroups();
  return {
    backend: handle.backend() === "cpu" ? "cpu" : "webgpu",
    adapter,
    software: handle.is_software(),
    ...(min !== undefined && max !== undefined && { subgroups: [min, max] as const }),
    limits: { bufferBytes: handle.max_buffer_bytes(), bindingBytes: handle.max_binding_bytes() },
  };
}

function adapterName(adapter: GPUAdapter): string {
  const { vendor, architecture, device, description } = adapter.info;
  return description || [vendor, architecture, device].filter(Boolean).join(" ") || "unnamed adapter";
}
