/** The worker's side of `weft-gpu/worker`. */

import { Gru, Lstm } from "./cells.js";
import type { CellLoadOptions, CellWeights } from "./cells.js";
import { type Context, type ContextOptions, createContext } from "./context.js";
import { CtcLoss, type CtcLossOptions } from "./ctc.js";
import { DisposedError } from "./errors.js";
import { TransducerLoss, type TransducerLossOptions } from "./loss.js";
import { init } from "./module.js";
import { Owned } from "./owned.js";
import { type Call, type Remote, type Reply, type Request, flattened, isRemote, mapped } from "./protocol.js";
import { Vad, segments } from "./vad.js";
import type { LoadOptions, WeightsSource } from "./weights.js";

type Far<Options> = Omit<Options, "gpu">;

/** What can be made in a worker. */
export class Root {
  #gpu: Context | undefined;

  async open(options: ContextOptions, module: WebAssembly.Module | undefined): Promise<unknown> {
    await init(module);
    this.#gpu = await createContext(options);
    return this.#gpu.info;
  }

  lost(): Promise<unknown> {
    return this.#context.lost;
  }

  loadVad(source: WeightsSource, options: LoadOptions): Promise<Vad> {
    return Vad.load(source, { ...options, gpu: this.#context });
  }

  segments(...args: Parameters<typeof segments>): unknown {
    return segments(...args);
  }

  transducerLoss(options: Far<TransducerLossOptions>): TransducerLoss {
    return new TransducerLoss({ ...options, gpu: this.#context });
  }

  ctcLoss(options: Far<CtcLossOptions>): CtcLoss {
    return new CtcLoss({ ...options, gpu: this.#context });
  }

  createLstm(weights: CellWeights): Lstm {
    return Lstm.create(this.#context, weights);
  }

  loadLstm(source: WeightsSource, options: Far<CellLoadOptions>): Promise<Lstm> {
    return Lstm.load(source, { ...options, gpu: this.#context });
  }

  createGru(weights: CellWeights): Gru {
    return Gru.create(this.#context, weights);
  }

  loadGru(source: WeightsSource, options: Far<CellLoadOptions>): Promise<Gru> {
    return Gru.load(source, { ...options, gpu: this.#context });
  }

  get #context(): Context {
    if (!this.#gpu) throw new DisposedError("this worker has no context");
    return this.#gpu;
  }
}

const objects = new Map<number, object>([[0, new Root()]]);
const running = new Map<number, AbortController>();
let next = 1;

const post = postMessage as (reply: Reply, transfer: Transferable[]) => void;

addEventListener("message", (event: MessageEvent<Request>) => {
  const request = event.data;
  if ("abort" in request) {
    running.get(request.abort)?.abort();
  } else if ("dispose" in request) {
    const object = objects.get(request.dispose);
    objects.delete(request.dispose);
    if (object instanceof Owned) object.dispose();
  } else {
    void answer(request);
  }
});

async function answer(call: Call): Promise<void> {
  const { id } = call;
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const onProgress = call.progress ? (progress: unknown) => post({ id, progress }, []) : undefined;
    const value = await invoked(call, { signal: controller.signal, onProgress });
    const buffers = new Set<ArrayBuffer>();
    post({ id, value: mapped(value, (field) => outgoing(field, buffers)) }, [...buffers]);
  } catch (error) {
    post({ id, error: flattened(error) }, []);
  } finally {
    running.delete(id);
  }
}

function invoked({ to, method, args }: Call, options: object): unknown {
  const object = incoming({ remote: to }) as Record<string, (...args: unknown[]) => unknown>;
  const values = args.map((arg) => mapped(arg, incoming));
  // The last argument is the options, by the convention of this package.
  const last = values.pop();
  const plain = typeof last === "object" && last !== null && Object.getPrototypeOf(last) === Object.prototype;
  return object[method]?.(...values, plain ? { ...last, ...options } : last);
}

function incoming(value: unknown): unknown {
  if (!isRemote(value)) return value;
  const object = objects.get(value.remote);
  if (!object) throw new DisposedError("this object has been disposed of");
  return object;
}

function outgoing(value: unknown, buffers: Set<ArrayBuffer>): unknown {
  if (ArrayBuffer.isView(value)) buffers.add(value.buffer as ArrayBuffer);
  if (!(value instanceof Owned)) return value;
  objects.set(next, value);
  return { remote: next++ } satisfies Remote;
}
