/** What results must be: published numbers, and slow f64 code that shares nothing with the package. */

/** The small case of warp-transducer: T 2, U1 3, V 5, blank 0. */
export const small = {
  logits: Float32Array.of(
    ...[0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.2, 0.8, 0.1],
    ...[0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.7, 0.1, 0.2, 0.1, 0.1],
  ),
  shape: [1, 2, 3, 5],
  targets: [1, 2],
  frames: [2],
  labels: [2],
};
export const smallCost = 4.495666773770732;
export const smallGradient = [
  ...[-0.13116686, -0.3999268, 0.17703122, 0.17703122, 0.17703122],
  ...[-0.18572753, 0.12247054, -0.18168408, 0.12247054, 0.12247054],
  ...[-0.32091246, 0.06269139, 0.06928471, 0.12624497, 0.06269139],
  ...[0.05456068, -0.21824272, 0.05456068, 0.05456068, 0.05456068],
  ...[0.12073957, 0.12073957, -0.48295828, 0.12073957, 0.12073957],
  ...[-0.6925882, 0.16871117, 0.18645468, 0.16871117, 0.16871117],
];
/** The same logits with the last symbol as the blank. */
export const smallCostBlank4 = 5.0956667737707;

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** y [T, N, H] and state [S, N, H] of one layer, with the loops in the order of the formulas. */
export function recurrent(kind, { inputSize: I, hiddenSize: H, weightIh, weightHh, biasIh, biasHh }, { x, shape: [T, N], lengths }) {
  const y = new Float64Array(T * N * H);
  const state = Array.from({ length: kind === "lstm" ? 2 : 1 }, () => new Float64Array(N * H));
  for (let n = 0; n < N; n++) {
    let h = new Float64Array(H);
    const c = new Float64Array(H);
    for (let t = 0; t < (lengths?.[n] ?? T); t++) {
      const input = (row) => {
        let sum = biasIh?.[row] ?? 0;
        for (let i = 0; i < I; i++) sum += weightIh[row * I + i] * x[(t * N + n) * I + i];
        return sum;
      };
      const memory = (row) => {
        let sum = biasHh?.[row] ?? 0;
        for (let k = 0; k < H; k++) sum += weightHh[row * H + k] * h[k];
        return sum;
      };
      const next = new Float64Array(H);
      for (let j = 0; j < H; j++) {
        const gate = (index) => input(index * H + j) + memory(index * H + j);
        if (kind === "lstm") {
          c[j] = sigmoid(gate(1)) * c[j] + sigmoid(gate(0)) * Math.tanh(gate(2));
          next[j] = sigmoid(gate(3)) * Math.tanh(c[j]);
        } else {
          const [r, z] = [sigmoid(gate(0)), sigmoid(gate(1))];
          next[j] = (1 - z) * Math.tanh(input(2 * H + j) + r * memory(2 * H + j)) + z * h[j];
        }
      }
      h = next;
      y.set(h, (t * N + n) * H);
    }
    state[0].set(h, n * H);
    state[1]?.set(c, n * H);
  }
  return { y, state };
}
