/**
 * WebGPU for Node, by the npm package `webgpu` (Dawn).
 *
 * ```ts
 * import { provideWebGpu } from "weft-gpu/node";
 * await provideWebGpu();
 * const gpu = await createContext({ backend: "webgpu" });
 * ```
 *
 * Dawn keeps a process alive: end it by `process.exit()`.
 */
import { GpuUnavailableError } from "./errors.js";

/** What is used of the package; its own types clash with the compiler's. */
interface Dawn {
  create(toggles: readonly string[]): unknown;
  readonly globals: object;
}

/**
 * Puts Dawn where a browser has `navigator.gpu`, unless something is there.
 *
 * @param toggles Dawn's, such as `adapter=NAME` or `enable-dawn-features=allow_unsafe_apis`
 * @throws {GpuUnavailableError} if the package is not installed, or does not run here
 */
export async function provideWebGpu(toggles: readonly string[] = []): Promise<void> {
  if (globalThis.navigator?.gpu) return;
  // A variable, because the package is an optional peer and compilers would look for it.
  const name = "webgpu";
  try {
    const dawn = (await import(name)) as Dawn;
    const gpu = dawn.create(toggles);
    Object.assign(globalThis, dawn.globals);
    const { navigator = {} } = globalThis as { navigator?: object };
    Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
    Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
    // wgpu looks for a page or a worker around it.
    if (!("Window" in globalThis)) Object.defineProperty(globalThis, "Window", { value: class Window {}, configurable: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GpuUnavailableError(`WebGPU in Node needs the npm package webgpu (\`npm install webgpu\`): ${reason}`, { cause: error });
  }
}
