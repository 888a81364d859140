// What kernels that run cells backward share: how gates and states are read and written. The importing kernel declares
// `gates`, `states`, `params` with slots, and plane().

// Lane k is at + k * hidden, for the first `count`.
fn gates_at(at: u32, count: u32) -> vec4f {
    var v = vec4f();
    if (count > 0u) {
        v.x = gates[at];
    }
    if (count > 1u) {
        v.y = gates[at + params.hidden];
    }
    if (count > 2u) {
        v.z = gates[at + 2u * params.hidden];
    }
    if (count > 3u) {
        v.w = gates[at + 3u * params.hidden];
    }
    return v;
}

fn set_gates(at: u32, count: u32, v: vec4f) {
    if (count > 0u) {
        gates[at] = v.x;
    }
    if (count > 1u) {
        gates[at + params.hidden] = v.y;
    }
    if (count > 2u) {
        gates[at + 2u * params.hidden] = v.z;
    }
    if (count > 3u) {
        gates[at + 3u * params.hidden] = v.w;
    }
}

// The states of a unit in a slot. `at` is n * hidden + unit.
fn states_at(slot: u32, at: u32) -> vec4f {
    let first = slot * plane() + at;
    let pitch = params.slots * plane();
    var s = vec4f(states[first], 0.0, 0.0, 0.0);
    if (CELL_STATES > 1u) {
        s.y = states[pitch + first];
    }
    if (CELL_STATES > 2u) {
        s.z = states[2u * pitch + first];
    }
    if (CELL_STATES > 3u) {
        s.w = states[3u * pitch + first];
    }
    return s;
}
