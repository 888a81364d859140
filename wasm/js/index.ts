/**
 * Transducer losses, recurrent cells and voice activity detection, on WebGPU or on the CPU.
 *
 * ```ts
 * import { createContext, Vad, segments } from "weft-gpu";
 * const gpu = await createContext({ backend: "auto" }); // gpu.info.backend says which runs
 * const vad = await Vad.load("/vad.safetensors", { gpu });
 * const probabilities = await vad.probabilities(samples);  // mono, 16 kHz
 * console.log(segments(probabilities, samples.length));    // [{ start, end }, …] in seconds
 * ```
 *
 * Needs no special headers (no SharedArrayBuffer). A content security policy must allow `'wasm-unsafe-eval'`.
 */
export { Band } from "./band.js";
export { Gru, GruState, Lstm, LstmState } from "./cells.js";
export type { CellInput, CellLoadOptions, CellOutput, CellWeights } from "./cells.js";
export { Context, createContext } from "./context.js";
export type { Backend, ContextInfo, ContextOptions, Device, LostInfo } from "./context.js";
export { CtcLoss } from "./ctc.js";
export type { CtcAlignment, CtcBatch, CtcLossOptions, CtcResult, LabelSpan } from "./ctc.js";
export {
  DeviceLostError,
  DisposedError,
  GpuError,
  GpuUnavailableError,
  InternalError,
  LabelError,
  LengthError,
  LimitExceededError,
  LoadError,
  MissingFeatureError,
  OtherContextError,
  OutOfMemoryError,
  ShapeError,
  ValueError,
  WeftError,
  WeightsError,
} from "./errors.js";
export { Arc } from "./kind.js";
export type { Kind, KindChanges } from "./kind.js";
export { Lattices } from "./lattices.js";
export type { Alignment, Emission, PathArc } from "./lattices.js";
export { TransducerLoss, WILDCARD } from "./loss.js";
export type { BatchLengths, LatticeResult, LossBatch, LossResult, LossScores, LossStatus, Reduction, RunOptions, TransducerLossOptions } from "./loss.js";
export { init } from "./module.js";
export type { ModuleSource } from "./module.js";
export { isSupported } from "./support.js";
export type { Support } from "./support.js";
export { Vad, VadStream, segments } from "./vad.js";
export type { Segment, SegmentOptions, VadLoadOptions, VadProgress, VadRunOptions } from "./vad.js";
export { Weights } from "./weights.js";
export type { LoadOptions, LoadProgress, WeightsSource } from "./weights.js";
