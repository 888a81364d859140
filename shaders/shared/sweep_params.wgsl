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

// What a workgroup walks: an utterance, forward (0) or backward (1).
struct Launched {
    number: u32,
    // Else it has the last utterance, and is to do nothing.
    exists: bool,
    n: u32,
    direction: u32,
}

fn launched(group: vec3u, groups: vec3u) -> Launched {
    let number = group.x + group.y * groups.x;
    let slot = min(number / params.directions, params.count - 1u);
    return Launched(number, number < params.count * params.directions, params.first_utterance + slot, number % params.directions);
}
