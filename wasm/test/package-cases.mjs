/** Checks of the package around the operations: start-up, contexts, their end. */

import { assert, close, fails, same } from "./harness.mjs";
import { small, smallCost } from "./oracle.mjs";

const weights = { inputSize: 1, hiddenSize: 1, weightIh: new Float32Array(4), weightHh: new Float32Array(4) };

async function cost(weft, gpu) {
  const out = await new weft.TransducerLoss({ gpu }).run(small);
  close("cost", out.costs, [smallCost], 2e-6);
}

export const everywhere = {
  async "init loads once"(weft) {
    const [first, second] = await Promise.all([weft.init(), weft.init()]);
    assert(first === second && first instanceof WebAssembly.Module, "two modules");
  },

  async "isSupported answers"(weft) {
    const { supported, reason } = await weft.isSupported();
    assert(supported ? reason === undefined : typeof reason === "string" && reason.length > 10, `supported ${supported}, reason ${reason}`);
  },

  async "a context that is disposed of, or another one, is refused"(weft) {
    const one = await weft.createContext({ backend: "cpu" });
    const other = await weft.createContext({ backend: "cpu" });
    const input = { x: new Float32Array(1), shape: [1, 1, 1] };
    const { state } = await weft.Lstm.create(one, weights).forward(input);
    await fails("OtherContextError", "state", () => weft.Lstm.create(other, weights).forward({ ...input, state }));
    one.dispose();
    one.dispose();
    await fails("DisposedError", "context", () => new weft.TransducerLoss({ gpu: one }));
    await cost(weft, other);
  },

  async "errors are of the exported classes"(weft) {
    const gpu = await weft.createContext({ backend: "cpu" });
    const error = await fails("LabelError", "blank", () => new weft.TransducerLoss({ gpu }).run({ ...small, targets: [1, 0] }));
    assert(error instanceof weft.LabelError && error instanceof weft.WeftError && error.cause instanceof Error, "not a LabelError with a cause");
    await fails("ValueError", 'backend = gpu: must be', () => weft.createContext({ backend: "gpu" }));
  },
};

/** Without the module: what is computed on the page. */
const page = {
  async "bands of an alignment, and of windows"({ Band }) {
    same("around", Band.around([0, 1, 0, 1], 1).map(String), ["0,0", "0,1", "0,1", "1,2"]);
    same("exactly", Band.around([1, 1, 0, 0], 0).map(String), ["0,0", "1,1", "2,2", "2,2"]);
    // The second label cannot come before the first.
    same("windows", Band.labelWindows([[1, 2], [0, 3]], 5).map(String), ["0,0", "0,2", "0,2", "1,2", "2,2"]);
  },

  async "the usual arcs"({ Arc }) {
    const arcs = [Arc.stay(2, 7), Arc.label(1), Arc.free(0, 1, -2)].map((arc) => JSON.stringify(arc));
    const expected = [{ frames: 2, labels: 0, token: 7, mayEnd: true }, { frames: 1, labels: 1, token: "nextLabel" }, { frames: 0, labels: 1, token: "none", constant: -2 }];
    same("arcs", arcs, expected.map((arc) => JSON.stringify(arc)));
  },
};
Object.assign(everywhere, page);

export const withoutWebGpu = {
  async "auto is the CPU, and says why; webgpu is refused"(weft) {
    const gpu = await weft.createContext();
    assert(gpu.info.backend === "cpu" && gpu.info.fallbackReason?.includes("WebGPU"), JSON.stringify(gpu.info));
    assert(gpu.device === undefined, "a device on the CPU");
    await fails("GpuUnavailableError", "WebGPU", () => weft.createContext({ backend: "webgpu" }));
    await cost(weft, gpu);
  },
};

export const withWebGpu = {
  async "auto is WebGPU"(weft) {
    const gpu = await weft.createContext();
    assert(gpu.info.backend === "webgpu" && gpu.info.fallbackReason === undefined, JSON.stringify(gpu.info));
    assert(gpu.device instanceof GPUDevice && gpu.info.subgroups === undefined, "no device, or subgroups that nobody asked for");
    gpu.dispose();
  },

  async "the subgroup hook is put back"(weft) {
    const { requestDevice } = GPUAdapter.prototype;
    const [one, two, plain] = await Promise.all([
      weft.createContext({ subgroups: true }),
      weft.createContext({ subgroups: true }),
      weft.createContext({ backend: "cpu" }),
    ]);
    assert(GPUAdapter.prototype.requestDevice === requestDevice, "requestDevice is still replaced");
    for (const gpu of [one, two]) {
      assert(gpu.device.features.has("subgroups") && gpu.info.subgroups?.length === 2, JSON.stringify(gpu.info));
      await cost(weft, gpu);
      gpu.dispose();
    }
    plain.dispose();
  },

  async "a lost device is told, and a new context works"(weft) {
    const gpu = await weft.createContext({ backend: "webgpu" });
    const loss = new weft.TransducerLoss({ gpu });
    await loss.run(small);
    const running = loss.run(small).then(() => undefined, (error) => error);
    gpu.device.destroy();
    same("reason", [(await gpu.lost).reason], ["destroyed"]);
    const error = await running;
    assert(error === undefined || error instanceof weft.DeviceLostError, `${error}`);
    await fails("DeviceLostError", "new", () => loss.run(small));
    const next = await weft.createContext({ backend: "webgpu" });
    await cost(weft, next);
    next.dispose();
  },
};
