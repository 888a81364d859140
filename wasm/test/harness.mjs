/** Checks that say what differs. Runs in Node, in pages and in workers. */

export function assert(fact, what) {
  if (!fact) throw new Error(what);
}

/** Every element within `tolerance`, absolute plus relative. */
export function close(what, got, expected, tolerance) {
  assert(got.length === expected.length, `${what}: ${got.length} values, expected ${expected.length}`);
  for (let i = 0; i < expected.length; i++) {
    const allowed = tolerance * (1 + Math.abs(expected[i]));
    assert(Object.is(got[i], expected[i]) || Math.abs(got[i] - expected[i]) <= allowed, `${what}[${i}]: ${got[i]}, expected ${expected[i]} ± ${allowed}`);
  }
}

export function same(what, got, expected) {
  const [a, b] = [got, expected].map((list) => JSON.stringify(Array.from(list, String)));
  assert(a === b, `${what}: ${a}, expected ${b}`);
}

/** The error that `work` ends with: of that name, and with those words. */
export async function fails(name, words, work) {
  let error;
  try {
    await work();
  } catch (caught) {
    error = caught;
  }
  assert(error, `no error, expected ${name}`);
  assert(error instanceof Error && error.name === name, `${error?.name}: ${error?.message}, expected ${name}`);
  for (const word of [words].flat()) assert(error.message.includes(word), `"${error.message}" does not say "${word}"`);
  return error;
}

/** Runs checks by name; gives one line each. */
export async function run(cases, ...args) {
  const results = [];
  for (const [name, check] of Object.entries(cases)) {
    const begin = performance.now();
    try {
      await check(...args);
      results.push({ name, ms: Math.round(performance.now() - begin) });
    } catch (error) {
      results.push({ name, error: `${error?.name}: ${error?.message}\n${error?.stack ?? ""}` });
    }
  }
  return results;
}

/** Numbers in [-1, 1), always the same. */
export function random(seed) {
  let state = seed;
  return (length, scale = 1) =>
    Float32Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return scale * (state / 2 ** 31 - 1);
    });
}

/** An adapter, with the sizes of its subgroups if they are used. */
export function adapterName({ adapter = "", subgroups }) {
  return subgroups ? `${adapter} (subgroup size ${[...new Set(subgroups)].join(" to ")})` : adapter;
}
