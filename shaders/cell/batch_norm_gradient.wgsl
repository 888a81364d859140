// A batch norm, backward: the gradients of what came out, in place, become those of what went in.
// Twin: src/cpu/cells/batch_norm.rs.

struct Params {
    batch: u32,
    hidden: u32,
    count: u32,
    columns: u32,
    // The frame of the first line, and where that begins.
    frame: u32,
    gradients_first: u32,
    has_lengths: u32,
    resets_first: u32,
    reset_words: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> sequences: array<u32>;
// [5, columns], as batch_norm.wgsl leaves them.
@group(0) @binding(2)
var<storage, read> statistics: array<f32>;
// [columns] each: of the gradients, and of those times what was normalised.
@group(0) @binding(3)
var<storage, read> sums: array<f32>;
@group(0) @binding(4)
var<storage, read> normalised_sums: array<f32>;
// [lines, columns]
@group(0) @binding(5)
var<storage, read> normalised: array<f32>;
@group(0) @binding(6)
var<storage, read_write> gradients: array<f32>;

#import cell_sequences

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.count) {
        let line = number / params.columns;
        let column = number % params.columns;
        let at = params.gradients_first + number;
        var d = 0.0;
        if (runs(line % params.batch, params.frame + line / params.batch)) {
            let frames = statistics[4u * params.columns + column];
            let taken = (sums[column] + normalised[number] * normalised_sums[column]) / frames;
            d = statistics[2u * params.columns + column] * (gradients[at] - taken);
        }
        gradients[at] = d;
    }
}
