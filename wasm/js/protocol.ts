/** What page and worker say to each other. */

import { named } from "./errors.js";

/** An object that lives in the worker. */
export interface Remote {
  readonly remote: number;
}

/** `to` is an object of the worker; 0 is the worker's own {@link Root}. */
export interface Call {
  readonly id: number;
  readonly to: number;
  readonly method: string;
  /** Values that can be cloned, and {@link Remote}s; at the top or one level down. */
  readonly args: readonly unknown[];
  /** Whether the page wants to hear of progress. */
  readonly progress: boolean;
}

export type Request = Call | { readonly abort: number } | { readonly dispose: number };

export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: PlainError }
  | { readonly id: number; readonly progress: unknown };

/** An error as it crosses. */
interface PlainError {
  readonly name: string;
  readonly message: string;
}

export function flattened(error: unknown): PlainError {
  return error instanceof Error ? { name: error.name, message: error.message } : { name: "Error", message: String(error) };
}

export function revived({ name, message }: PlainError): Error {
  const own = named(name, message);
  return own ?? Object.assign(new Error(message), { name });
}

export function isRemote(value: unknown): value is Remote {
  return typeof value === "object" && value !== null && "remote" in value;
}

/** `value`, or the fields of it, by way of `change`: as deep as {@link Remote}s may stand. */
export function mapped(value: unknown, change: (value: unknown) => unknown): unknown {
  const plain = typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  if (!plain || isRemote(value)) return change(value);
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, change(field)]));
}
