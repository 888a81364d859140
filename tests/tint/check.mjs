// node check.mjs DIR: compiles every DIR/*.web.wgsl with Tint and makes a pipeline of it.
//
// Tint refuses what naga lets pass, above all barriers and subgroup operations in control flow that
// it cannot prove uniform. The device has WebGPU's default limits on purpose: a shader that needs
// more would not run in every browser.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { create } from 'webgpu';
import { accepted, compile } from './compile.mjs';
import { BAD, GOOD } from './known.mjs';

const FEATURES = ['subgroups', 'shader-f16'];

const dir = process.argv[2];
if (!dir) {
  console.error('usage: node check.mjs DIR   (WEFT_DUMP_SHADERS=DIR cargo build writes it)');
  process.exit(2);
}

// The null backend runs nothing and needs no driver, and its compiler is the real one. A global holds
// it because the adapter and the device do not: once it is garbage-collected, they crash the process.
globalThis.gpu = create(['backend=null']);
const adapter = await globalThis.gpu.requestAdapter();
const requiredFeatures = FEATURES.filter((feature) => adapter.features.has(feature));
const device = await adapter.requestDevice({ requiredFeatures });
console.log(`Tint with ${requiredFeatures.join(', ') || 'no optional features'}`);

let failed = 0;
for (const [name, code] of Object.entries(GOOD)) {
  const messages = await compile(device, code);
  if (!accepted(messages)) fail(`this check is broken: it refuses the good shader "${name}"`, messages);
}
for (const [name, code] of Object.entries(BAD)) {
  if (accepted(await compile(device, code))) fail(`this check is broken: it accepts the bad shader "${name}"`);
}

const files = (await readdir(dir)).filter((file) => file.endsWith('.web.wgsl')).sort();
if (files.length === 0) fail(`no *.web.wgsl in ${dir}`);
let good = 0;
for (const file of files) {
  const at = path.join(dir, file);
  const messages = await compile(device, await readFile(at, 'utf8'));
  if (accepted(messages)) {
    good += 1;
    console.log(`ok    ${file}`);
    print(at, messages);
  } else {
    fail(`FAIL  ${file}`, messages, at);
  }
}
console.log(`${good} shaders accepted, ${files.length - good} refused`);
process.exit(failed === 0 ? 0 : 1);

function fail(what, messages = [], at = '') {
  failed += 1;
  console.log(what);
  print(at, messages);
}

function print(at, messages) {
  for (const { type, line, column, text } of messages) {
    console.log(`      ${at}${line ? `:${line}:${column}` : ''}: ${type}: ${text}`);
  }
}
