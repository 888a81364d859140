import { count } from "./arrays.js";
import { ValueError } from "./errors.js";

/** Options as the list of numbers that the module reads, in its order: `src/numbers.rs`. */
export class Numbers {
  readonly #values: number[] = [];

  /** A number that is checked where its bounds are known: in the module. */
  number(argument: string, value: number): this {
    if (typeof value !== "number") throw new ValueError(`${argument} = ${String(value)}: must be a number`);
    this.#values.push(value);
    return this;
  }

  /** An integer from 0 to 2^32 - 1. */
  word(argument: string, value: number): this {
    this.#values.push(count(argument, value));
    return this;
  }

  flag(value: boolean | undefined): this {
    this.#values.push(value ? 1 : 0);
    return this;
  }

  /** The place of a word in a list of those that are known. */
  choice(argument: string, known: readonly string[], value: string): this {
    const place = known.indexOf(value);
    if (place < 0) throw new ValueError(`${argument} = ${String(value)}: must be one of ${known.map((word) => `"${word}"`).join(", ")}`);
    this.#values.push(place);
    return this;
  }

  /** Whether there is a value, and the value. */
  optional<T>(value: T | undefined, write: (value: T) => unknown): this {
    this.flag(value !== undefined);
    if (value !== undefined) write(value);
    return this;
  }

  /** How many there are, and each. */
  list<T>(argument: string, values: readonly T[], write: (value: T, argument: string) => unknown): this {
    if (!Array.isArray(values)) throw new ValueError(`${argument} = ${String(values)}: must be an array`);
    this.#values.push(values.length);
    values.forEach((value, index) => write(value, `${argument}[${index}]`));
    return this;
  }

  done(): Float64Array {
    return Float64Array.from(this.#values);
  }
}
