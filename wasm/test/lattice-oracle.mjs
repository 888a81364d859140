/** Lattices of any arcs in f64: the cost by forward variables, the gradient by differences. It shares nothing with the package. */

const logAdd = (a, b) => (Math.max(a, b) === -Infinity ? -Infinity : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))));
const logSum = (values) => values.reduce(logAdd, -Infinity);

/** Log-probabilities of a row: V symbols, and D durations after them. */
function normalised(row, { vocab, blank, hat, sigma = 0 }) {
  const [symbols, durations] = [row.slice(0, vocab), row.slice(vocab)];
  const sum = logSum(symbols.filter((_, v) => !hat || v !== blank));
  const stay = -Math.log1p(Math.exp(-symbols[blank]));
  const leave = -Math.log1p(Math.exp(symbols[blank]));
  const symbol = (x, v) => (hat ? (v === blank ? stay : leave + x - sum) : x - sum) - sigma;
  return { symbols: symbols.map(symbol), durations: durations.map((x) => x - logSum(durations)) };
}

/**
 * The cost of one utterance. `given`: { logits, frames, target, vocab, blank, arcs, durations, hat, sigma, entry, exit, delay, eos,
 * stay, band }; `arcs` as in the package; `entry` and `exit` are the weights of W-transducers, `exit` [weight, where]; the label
 * WILDCARD is emitted for nothing, and `stay` is the probability of the blanks after it.
 */
export function cost(given) {
  const { logits, frames: T, target, vocab, arcs, durations = [], entry, exit, delay = 0, eos, stay = 1, band } = given;
  const [U, width] = [target.length, vocab + durations.length];
  const rows = (t, u) => normalised([...logits.slice((t * (U + 1) + u) * width, (t * (U + 1) + u + 1) * width)], given);
  const known = Array.from({ length: T * (U + 1) }, (_, i) => rows(Math.floor(i / (U + 1)), i % (U + 1)));
  const row = (t, u) => known[t * (U + 1) + u];
  const allowed = (t, u) => !band || (band[t][0] <= u && u <= band[t][1]);
  const forward = new Float64Array(T * (U + 1)).fill(-Infinity);
  let end = -Infinity;
  const WILD = 0xffff_ffff;
  const weight = (arc, t, u) => {
    let w = arc.constant ?? 0;
    const { symbols, durations: channels } = row(t, u);
    if (typeof arc.token === "number") w += arc.token === given.blank && target[u - 1] === WILD ? Math.log(stay) : symbols[arc.token];
    if (arc.token === "nextLabel") {
      w += target[u] === WILD ? 0 : symbols[target[u]];
      w += (delay + (eos && target[u] === eos.symbol ? eos.penalty : 0)) * ((T - 1) / 2 - t);
    }
    if (arc.token === "others") w += logSum(symbols.filter((_, v) => v !== given.blank && v !== target[u]));
    if (arc.duration !== undefined) w += channels[arc.duration];
    if (arc.then !== undefined) w += allowed(t, u + 1) ? row(t, u + 1).symbols[arc.then] : -Infinity;
    return w;
  };
  const reach = (t, u, w) => {
    if (allowed(t, u)) forward[t * (U + 1) + u] = logAdd(forward[t * (U + 1) + u], w);
  };
  reach(0, 0, 0);
  for (let t = 1; entry !== undefined && t < T; t++) reach(t, 0, entry);
  for (let t = 0; t < T; t++) {
    for (let u = 0; u <= U; u++) {
      const here = forward[t * (U + 1) + u];
      if (here === -Infinity) continue;
      for (const arc of arcs) {
        const [t2, u2] = [t + arc.frames, u + arc.labels];
        if (u2 > U || t2 > T) continue;
        if (t2 < T) reach(t2, u2, here + weight(arc, t, u));
        else if (u2 === U && arc.mayEnd) end = logAdd(end, here + weight(arc, t, u));
      }
      if (exit && u === U && t < T - 1) {
        if (exit[1] === "end") end = logAdd(end, here + exit[0]);
        else reach(T - 1, U, here + exit[0]);
      }
    }
  }
  return -end;
}

/** d cost / d logits, by central differences. */
export function gradient(given) {
  const step = 1e-4;
  return Array.from(given.logits, (x, i) => {
    const moved = (by) => cost({ ...given, logits: given.logits.map((y, j) => (j === i ? x + by : y)) });
    return (moved(step) - moved(-step)) / (2 * step);
  });
}

/** burn's logits, sin((11 b + 7 t + 13 u + 3 v) / 10), as f64. */
export const sines = (b, [T, U1, V]) =>
  Array.from({ length: T * U1 * V }, (_, i) => Math.sin((11 * b + 7 * Math.floor(i / V / U1) + 13 * (Math.floor(i / V) % U1) + 3 * (i % V)) / 10));
