import { ShapeError, ValueError } from "./errors.js";

/** Numbers for a u32 argument. A typed array's negative numbers would otherwise wrap around in silence. */
export function words(argument: string, values: ArrayLike<number>): Uint32Array {
  if (values instanceof Uint32Array) return values;
  if (typeof values?.length !== "number") throw new ValueError(`${argument} = ${String(values)}: must be an array of numbers`);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw new ValueError(`${argument}[${i}] = ${String(value)}: must be an integer from 0 to 2^32 - 1`);
    }
  }
  return Uint32Array.from(values);
}

/** Numbers for an f32 argument. */
export function floats(argument: string, values: ArrayLike<number>): Float32Array {
  if (values instanceof Float32Array) return values;
  if (typeof values?.length !== "number") throw new ValueError(`${argument} = ${String(values)}: must be a Float32Array or an array of numbers`);
  return Float32Array.from(values);
}

/** A shape of so many sides. */
export function shape(argument: string, sides: ArrayLike<number>, letters: string): Uint32Array {
  const found = words(argument, sides);
  const expected = letters.split(" ").length;
  if (found.length === expected) return found;
  throw new ShapeError(`${argument}: expected ${expected} sides [${letters.replaceAll(" ", ", ")}], got [${[...found].join(", ")}]`);
}

/** One number that counts something. */
export function count(argument: string, value: number): number {
  return words(argument, [value])[0] as number;
}
