// Shaders whose verdict is known: what tells a working check from one that says yes to everything.

const DATA = '@group(0) @binding(0) var<storage, read_write> data: array<u32>;';
const MAIN = '@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32)';

export const GOOD = {
  'barrier in uniform control flow': `${DATA}
    var<workgroup> all: array<u32, 64>;
    ${MAIN} { all[lane] = data[lane]; workgroupBarrier(); data[lane] = all[63u - lane]; }`,
};

export const BAD = {
  'barrier under a data-dependent if': `${DATA}
    ${MAIN} { if (data[lane] > 3u) { workgroupBarrier(); } data[lane] = 0u; }`,
  'subgroup operation without its extension': `${DATA}
    ${MAIN} { data[lane] = subgroupAdd(data[lane]); }`,
  'more workgroup memory than the default limit': `${DATA}
    var<workgroup> all: array<u32, 4097>;
    ${MAIN} { all[lane] = data[lane]; workgroupBarrier(); data[lane] = all[63u - lane]; }`,
  'more invocations than the default limit': `${DATA}
    @compute @workgroup_size(257) fn main() { data[0] = 1u; }`,
  'no WGSL at all': 'fn main( {',
};
