/// <reference lib="esnext.disposable" preserve="true" />

import { DisposedError } from "./errors.js";

/** Something that owns memory of the module or the GPU. Freed by `dispose()`, or some time after it is forgotten. */
export class Owned {
  #handle: { free(): void } | undefined;

  /** @internal */
  constructor(handle: { free(): void }) {
    this.#handle = handle;
  }

  /** @internal The module's object: which, the class knows. */
  get handle(): unknown {
    if (!this.#handle) throw new DisposedError(`this ${this.constructor.name} has been disposed of`);
    return this.#handle;
  }

  /** Frees its memory. Calls that still run end as usual; further ones throw {@link DisposedError}. */
  dispose(): void {
    this.#handle?.free();
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
