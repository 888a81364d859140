// Weights of the recurrent product: all rows of a unit at one k, a lane each. The importing kernel declares `weight_hh` and
// `params` with hidden. `at` is unit * hidden + k.
fn weight_lanes_at(at: u32) -> vec4f {
    let pitch = params.hidden * params.hidden;
    var w = vec4f(weight_hh[at], 0.0, 0.0, 0.0);
    if (CELL_ROWS > 1u) {
        w.y = weight_hh[at + pitch];
    }
    if (CELL_ROWS > 2u) {
        w.z = weight_hh[at + 2u * pitch];
    }
    if (CELL_ROWS > 3u) {
        w.w = weight_hh[at + 3u * pitch];
    }
    return w;
}
