/** The harness must be able to fail: each of these checks has to be caught. */

import { assert, close, fails, run, same } from "./harness.mjs";
import { recurrent, small, smallCost } from "./oracle.mjs";

const wrong = {
  "a cost that is off by 1e-4": (cost) => close("cost", [cost], [smallCost], 2e-6),
  "NaN for a number": () => close("cost", [NaN], [1], 1e-6),
  "a number for NaN": () => same("cost", [1], [NaN]),
  "a value too few": () => close("y", [1], [1, 2], 1e-6),
  "no error": () => fails("ShapeError", "shape", async () => {}),
  "another error": () => fails("ShapeError", "shape", async () => assert(false, "shape")),
  "an error without the number": () =>
    fails("Error", "42", async () => {
      throw new Error("41");
    }),
  "gates in another order"() {
    const draw = (length) => Float32Array.from({ length }, (_, i) => Math.sin(i));
    const weights = { inputSize: 2, hiddenSize: 2, weightIh: draw(16), weightHh: draw(16) };
    const swapped = { ...weights, weightIh: Float32Array.from([...weights.weightIh.slice(4, 8), ...weights.weightIh.slice(0, 4), ...weights.weightIh.slice(8)]) };
    const input = { x: draw(8), shape: [4, 1, 2] };
    close("y", recurrent("lstm", swapped, input).y, recurrent("lstm", weights, input).y, 1e-5);
  },
};

export async function harnessChecks() {
  assert(small.logits.length === 30, "the small case has 30 logits");
  const results = await run(wrong, smallCost + 1e-4);
  return {
    where: "harness",
    variant: "must fail",
    adapter: "",
    info: {},
    results: results.map(({ name, error }) => (error ? { name, ms: 0 } : { name, error: "it passed, and must not" })),
  };
}
