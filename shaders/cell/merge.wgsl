// What a layer gives to the next: y of one direction, or of both, side by side or as their sum; and dropout, which keeps a
// number at random and scales it. Backward, the same the other way round (split.wgsl).
// Twin: src/cpu/cells/merge.rs.
#import between

@group(0) @binding(1)
var<storage, read> forward: array<f32>;
@group(0) @binding(2)
var<storage, read> reverse: array<f32>;
// [rows, width]
@group(0) @binding(3)
var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    let width = out_width();
    if (number < params.rows * width) {
        let column = number % width;
        let at = number / width * params.hidden + column % params.hidden;
        var value = 0.0;
        if (column < params.hidden) {
            value = forward[params.forward_first + at];
        } else {
            value = reverse[params.reverse_first + at];
        }
        if (params.kind == SUM) {
            value += reverse[params.reverse_first + at];
        }
        out[params.out_first + number] = value * factor(number);
    }
}
