/**
 * Subgroup kernels in browsers.
 *
 * wgpu 30 does not know the browser's feature `subgroups` (https://github.com/gfx-rs/wgpu/issues/10146), so
 * its devices are made without it. Until it does, this file asks for the feature in wgpu's place: for as long
 * as `open` runs, `requestDevice` adds it. Opt-in, because it changes a prototype of the page for that moment.
 */

/** Sizes of the adapter's subgroups, smallest and largest; `undefined` where it has none. */
export function subgroupSizes(adapter: GPUAdapter): [number, number] | undefined {
  if (!adapter.features.has("subgroups")) return undefined;
  // What the specification promises, where a browser keeps the numbers to itself.
  const { subgroupMinSize, subgroupMaxSize } = adapter.info;
  return [subgroupMinSize || 4, subgroupMaxSize || 128];
}

/** The first hook's predecessor, and how many run: two contexts may be opened at once. */
let original: GPUAdapter["requestDevice"] | undefined;
let users = 0;

/** Runs `open` with a `requestDevice` that asks for subgroups as well, and puts the original back. */
export async function withSubgroups<T>(open: () => Promise<T>): Promise<T> {
  const prototype = GPUAdapter.prototype;
  if (users++ === 0) {
    const plain = (original = prototype.requestDevice);
    prototype.requestDevice = function (this: GPUAdapter, descriptor: GPUDeviceDescriptor = {}) {
      const features = new Set(descriptor.requiredFeatures);
      if (this.features.has("subgroups")) features.add("subgroups");
      return plain.call(this, { ...descriptor, requiredFeatures: [...features] });
    };
  }
  try {
    return await open();
  } finally {
    if (--users === 0 && original) prototype.requestDevice = original;
  }
}
