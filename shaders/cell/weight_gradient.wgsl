// The gradient of a recurrent weight as it is kept, of that of the matrix that weight.wgsl made of it.
// Twin: src/cpu/cells/weights.rs.
#import weight_blocks

// [rows, all_columns]
@group(0) @binding(1)
var<storage, read> matrix: array<f32>;
// [rows, columns]
@group(0) @binding(2)
var<storage, read_write> kept: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.rows * params.columns) {
        let row = number / params.columns;
        let column = number % params.columns;
        kept[number] = matrix[row * params.all_columns + block_of(row) + column] * factor(row, column);
    }
}
