// What a launch over whole lattices of transducers is told.
struct Params {
    // The first utterance of the launch, and their number.
    first_utterance: u32,
    count: u32,
    // N, of the whole batch.
    utterances: u32,
    // 1: forward only. 2: both.
    directions: u32,
    // Places and anchors of one direction, beside what takes what no cell wants.
    places: u32,
    anchors: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
