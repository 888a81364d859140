// Rows of gates for the first frame of each sequence. The importing kernel declares its buffers.
// Twin: src/cpu/cells/first.rs.

struct Params {
    batch: u32,
    hidden: u32,
    // Gates of a frame of a sequence.
    columns: u32,
    // Frames whose gates are there, the first of them, and those of the call.
    frames: u32,
    frame: u32,
    all_frames: u32,
    reversed: u32,
    // Where the gates begin.
    gates_first: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> sequences: array<u32>;

#import cell_sequences

const NOWHERE = 0xffffffffu;

// The line of gates of the frame with which a sequence begins; NOWHERE if that is not there, or begins anew.
fn first_line(n: u32) -> u32 {
    var frames = params.all_frames;
    if (params.has_lengths != 0u) {
        frames = sequences[n];
    }
    if (frames == 0u) {
        return NOWHERE;
    }
    let frame = select(0u, frames - 1u, params.reversed != 0u);
    if (frame < params.frame || frame - params.frame >= params.frames || begins_anew(n, frame)) {
        return NOWHERE;
    }
    return (frame - params.frame) * params.batch + n;
}
