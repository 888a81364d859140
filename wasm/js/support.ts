/** Whether WebGPU can be used here. */
export interface Support {
  /** True if `createContext({ backend: "webgpu" })` is likely to work. */
  readonly supported: boolean;
  /** Why not, in words for a person; absent if supported. */
  readonly reason?: string;
}

/** @internal */
export interface Found {
  readonly adapter?: GPUAdapter;
  readonly reason?: string;
}

/** Asks whether WebGPU can be used here, and why not. Never throws, and loads nothing. */
export async function isSupported(): Promise<Support> {
  const { reason } = await findAdapter("high-performance");
  return reason === undefined ? { supported: true } : { supported: false, reason };
}

/** @internal An adapter, or the reason why there is none. */
export async function findAdapter(powerPreference: GPUPowerPreference): Promise<Found> {
  try {
    if (globalThis.isSecureContext === false) {
      return { reason: "WebGPU needs a secure page: serve it over https, or from localhost" };
    }
    const gpu = globalThis.navigator?.gpu;
    if (!gpu) return { reason: "this browser has no WebGPU (Chrome and Edge 113, Safari 26, Firefox 141 on Windows and 145 on macOS have)" };
    const adapter = await gpu.requestAdapter({ powerPreference });
    return adapter ? { adapter } : { reason: "this browser has WebGPU, but no adapter for this machine's GPU (blocklisted driver, or no GPU)" };
  } catch (error) {
    return { reason: `WebGPU answered with an error: ${error instanceof Error ? error.message : String(error)}` };
  }
}
