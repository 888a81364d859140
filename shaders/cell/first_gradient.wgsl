// Takes the gradients of the gates of each sequence's first frame, where that is there; other rows stay as they are.
// Twin: src/cpu/cells/first.rs.
#import cell_first

// [frames, batch, columns]
@group(0) @binding(2)
var<storage, read> gates: array<f32>;
// [batch, columns]
@group(0) @binding(3)
var<storage, read_write> rows: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.batch * params.columns) {
        let line = first_line(number / params.columns);
        if (line != NOWHERE) {
            rows[number] = gates[params.gates_first + line * params.columns + number % params.columns];
        }
    }
}
