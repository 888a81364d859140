// Adds a row of gates for each sequence to those of its first frame: what comes of an h that the first product does not see.
// Twin: src/cpu/cells/first.rs.
#import cell_first

// [batch, columns]
@group(0) @binding(2)
var<storage, read> rows: array<f32>;
// [frames, batch, columns]
@group(0) @binding(3)
var<storage, read_write> gates: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.batch * params.columns) {
        let line = first_line(number / params.columns);
        if (line != NOWHERE) {
            gates[params.gates_first + line * params.columns + number % params.columns] += rows[number];
        }
    }
}
