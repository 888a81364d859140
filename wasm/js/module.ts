import { InternalError, LoadError, translated } from "./errors.js";
import start, * as glue from "./weft_wasm.js";

/** @internal */
export type Glue = typeof glue;

/** Where the WebAssembly module may come from. */
export type ModuleSource = string | URL | Response | BufferSource | WebAssembly.Module;

let loading: Promise<WebAssembly.Module> | undefined;
let dead: InternalError | undefined;
const mourners = new Set<(error: InternalError) => void>();

/**
 * Fetches and starts the WebAssembly module. Later calls give the same answer and load nothing; after a
 * failure the next call tries again. Every other function calls it by itself, so it is only needed to
 * load early, or from a place of one's own.
 *
 * @param source a URL, a response, the bytes, or a compiled module (to share one with workers); by default
 *   the `weft_wasm_bg.wasm` that lies in this package, which bundlers find by `import.meta.url`.
 * @returns the compiled module: it can be posted to a worker and given to `init` there.
 * @throws {LoadError}
 */
export function init(source?: ModuleSource | Promise<ModuleSource>): Promise<WebAssembly.Module> {
  loading ??= load(source).catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(source: ModuleSource | Promise<ModuleSource> | undefined): Promise<WebAssembly.Module> {
  try {
    const module = await compiled(await (source ?? new URL("./weft_wasm_bg.wasm", import.meta.url)));
    await start({ module_or_path: module });
    glue.start(panicked);
    return module;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoadError(`the WebAssembly module could not be loaded: ${reason}`, { cause: error });
  }
}

async function compiled(source: ModuleSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return WebAssembly.compile(source);
  const response = source instanceof Response ? source : await opened(source);
  if (!response.ok) throw new Error(`${response.url || "the module"} answered ${response.status} ${response.statusText}`);
  const streams = response.headers.get("content-type")?.startsWith("application/wasm");
  return streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

/** @internal Like `fetch`, which in Node does not open files. */
export async function opened(source: string | URL, init?: RequestInit): Promise<Response> {
  const url = source instanceof URL ? source : new URL(source, globalThis.location?.href ?? import.meta.url);
  const fs = url.protocol === "file:" ? nodeFiles() : undefined;
  return fs ? new Response(await fs.promises.readFile(url)) : fetch(url, init);
}

interface NodeFiles {
  promises: { readFile(path: URL): Promise<ArrayBuffer> };
}

function nodeFiles(): NodeFiles | undefined {
  // Not an import: bundlers for browsers would stumble over it.
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => NodeFiles } };
  return process?.getBuiltinModule?.("node:fs");
}

function panicked(message: string): void {
  dead ??= new InternalError(`the WebAssembly instance has ended: ${message}`);
  for (const tell of mourners) tell(dead);
  mourners.clear();
}

/** @internal The module's functions. Throws if it has not been loaded, or has ended. */
export function alive(): Glue {
  if (dead) throw dead;
  return glue;
}

/**
 * @internal
 * Runs a call of the module to its end, or until `signal` fires or the instance ends. What has been given
 * to the GPU by then runs on, and its result is dropped.
 */
export async function call<T>(work: (glue: Glue) => T | Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  let leave = (): void => {};
  const left = new Promise<never>((_, reject) => {
    const aborted = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", aborted);
    mourners.add(reject);
    leave = () => {
      signal?.removeEventListener("abort", aborted);
      mourners.delete(reject);
    };
  });
  try {
    return await Promise.race([Promise.resolve(work(alive())), left]);
  } catch (error) {
    throw signal?.aborted && error === signal.reason ? error : (dead ?? translated(error));
  } finally {
    leave();
  }
}
