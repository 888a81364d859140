// What the rows of the step after, at `frame`, leave to the h of a unit before it, by one invocation. The importing kernel declares what
// cell_back.wgsl does.
#import row_weights

fn left_product(frame: u32, n: u32, unit: u32) -> f32 {
    let hidden = params.hidden;
    var first = products_at(frame, n, 0u);
    if (CELL_SUMMED != 0u) {
        first = inputs_at(frame, n, 0u);
    }
    var sum = 0.0;
    for (var j = 0u; j < hidden; j++) {
        sum += dot(gates_at(first + j, CELL_ROWS), weight_lanes_at(j * hidden + unit));
    }
    return sum;
}
