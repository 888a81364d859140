/** Base of every error that this package throws on purpose. `name` tells the kind, `message` the numbers and the way out. */
export class WeftError extends Error {
  override readonly name: string = "WeftError";
}

/** No WebGPU here, no adapter, or an adapter that gives no device. */
export class GpuUnavailableError extends WeftError {
  override readonly name = "GpuUnavailableError";
}

/** The device lacks a feature that was asked for. */
export class MissingFeatureError extends WeftError {
  override readonly name = "MissingFeatureError";
}

/** More than the device grants: the message has the need and the limit. */
export class LimitExceededError extends WeftError {
  override readonly name = "LimitExceededError";
}

/** A shape does not fit. */
export class ShapeError extends WeftError {
  override readonly name = "ShapeError";
}

/** A length runs past its tensor. */
export class LengthError extends WeftError {
  override readonly name = "LengthError";
}

/** A label that is outside the vocabulary, or the blank. */
export class LabelError extends WeftError {
  override readonly name = "LabelError";
}

/** An argument has a value that makes no sense. */
export class ValueError extends WeftError {
  override readonly name = "ValueError";
}

/** Something of one context was given to a call on another. */
export class OtherContextError extends WeftError {
  override readonly name = "OtherContextError";
}

/** A weights file could not be fetched, or is not what it must be. */
export class WeightsError extends WeftError {
  override readonly name = "WeightsError";
}

/** The device or the module has no memory for this call. The context stays usable. */
export class OutOfMemoryError extends WeftError {
  override readonly name = "OutOfMemoryError";
}

/** The device is gone. A new context works. */
export class DeviceLostError extends WeftError {
  override readonly name = "DeviceLostError";
}

/** The browser's WebGPU found a mistake that this package should not have made. */
export class GpuError extends WeftError {
  override readonly name = "GpuError";
}

/** `dispose()` has been called on this object, or on the context or worker that it belongs to. */
export class DisposedError extends WeftError {
  override readonly name = "DisposedError";
}

/** The WebAssembly module could not be fetched, compiled or started. */
export class LoadError extends WeftError {
  override readonly name = "LoadError";
}

/** A bug in this package ended its WebAssembly instance. The page (or the worker) has to be loaded again. */
export class InternalError extends WeftError {
  override readonly name = "InternalError";
}

const classes: Record<string, new (message: string, options?: ErrorOptions) => WeftError> = {
  GpuUnavailableError,
  MissingFeatureError,
  LimitExceededError,
  ShapeError,
  LengthError,
  LabelError,
  ValueError,
  OtherContextError,
  WeightsError,
  OutOfMemoryError,
  DeviceLostError,
  GpuError,
  DisposedError,
  LoadError,
  InternalError,
};

/** @internal An error of this package from its name; `undefined` for a name that is not one of these. */
export function named(name: string, message: string, cause?: unknown): WeftError | undefined {
  const kind = Object.hasOwn(classes, name) ? classes[name] : undefined;
  return kind && new kind(message, cause === undefined ? undefined : { cause });
}

/** The name of an argument, which a message begins with, as it is in this language. */
function camel(message: string): string {
  return message.replace(/^[a-z]+([_-][a-z]+)+(?=:| =)/, (name) => name.replaceAll(/[_-](.)/g, (_, letter: string) => letter.toUpperCase()));
}

/** @internal What the module threw, as an error of this package. */
export function translated(error: unknown): unknown {
  if (error instanceof WeftError) return error;
  if (error instanceof WebAssembly.RuntimeError) {
    return new InternalError(`the WebAssembly instance has ended: ${error.message}`, { cause: error });
  }
  return error instanceof Error ? (named(error.name, camel(error.message), error) ?? error) : error;
}
