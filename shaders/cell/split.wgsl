// Gradients of what merge.wgsl took, from that of what it gave.
// Twin: src/cpu/cells/merge.rs.
#import between

// [rows, width]
@group(0) @binding(1)
var<storage, read> out: array<f32>;
@group(0) @binding(2)
var<storage, read_write> forward: array<f32>;
@group(0) @binding(3)
var<storage, read_write> reverse: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.rows * params.hidden) {
        let at = number / params.hidden * out_width() + number % params.hidden;
        forward[params.forward_first + number] = out[params.out_first + at] * factor(at);
        if (params.kind == SUM) {
            reverse[params.reverse_first + number] = out[params.out_first + at] * factor(at);
        }
        if (params.kind == CONCAT) {
            let behind = at + params.hidden;
            reverse[params.reverse_first + number] = out[params.out_first + behind] * factor(behind);
        }
    }
}
