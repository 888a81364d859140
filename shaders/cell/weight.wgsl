// The matrix of the recurrent product, of the weight as it is kept: zeros outside of the blocks of heads, and where a number is dropped.
// Twin: src/cpu/cells/weights.rs.
#import weight_blocks

// [rows, columns]
@group(0) @binding(1)
var<storage, read> kept: array<f32>;
// [rows, all_columns]
@group(0) @binding(2)
var<storage, read_write> matrix: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 256u;
    if (number < params.rows * params.all_columns) {
        let row = number / params.all_columns;
        // Before the block it is a large number.
        let column = number % params.all_columns - block_of(row);
        var value = 0.0;
        if (column < params.columns) {
            value = kept[row * params.columns + column] * factor(row, column);
        }
        matrix[number] = value;
    }
}
