// Posterior probabilities of states from forward and backward variables.
// The importing kernel declares `lattice`, `anchors`, `results` and the params that are named here.

// Where the variables of a frame lie.
struct FramePlace {
    // First elements in `lattice`: forward, backward.
    forward: u32,
    backward: u32,
    // First elements in `anchors`.
    forward_anchor: u32,
    backward_anchor: u32,
    // log2 of the probability of the target.
    exponent: i32,
    mantissa: f32,
}

fn frame_place(utterance: Utterance, n: u32, t: u32, place: u32) -> FramePlace {
    let chunk = utterance.first_chunk - params.workspace_chunk;
    let from_end = utterance.frames - 1u - t;
    return FramePlace(
        2u * place * params.groups,
        params.lattice_stride + 2u * place * params.groups,
        (chunk + t / CHUNK) * params.groups,
        params.anchor_stride + (chunk + from_end / CHUNK) * params.groups,
        bitcast<i32>(results[EXPONENT * params.utterances + n]),
        bitcast<f32>(results[MANTISSA * params.utterances + n]),
    );
}

// Of the blanks of a group.
fn blank_occupancies(at: FramePlace, group: u32) -> vec4f {
    let x = lattice[at.forward + 2u * group] + lattice[at.backward + 2u * group];
    let anchor = anchors[at.forward_anchor + group] + anchors[at.backward_anchor + group] - vec4i(at.exponent);
    return exp2(x + vec4f(anchor) - at.mantissa);
}

// Of the blank (`part` 0) or the label (1) of column u.
fn occupancy(at: FramePlace, u: u32, part: u32) -> f32 {
    let group = u / 4u;
    let i = u % 4u;
    let x = lattice[at.forward + 2u * group + part][i] + lattice[at.backward + 2u * group + part][i];
    let anchor = anchors[at.forward_anchor + group][i] + anchors[at.backward_anchor + group][i] - at.exponent;
    return exp2(x + f32(anchor) - at.mantissa);
}
