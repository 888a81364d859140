// Weights of the recurrent product: all rows of a unit at one k, a lane each. The importing kernel declares `weight_hh` and
// `params` with hidden. F16: two of them in a word. `at` is unit * hidden + k.
fn row_weight_at(at: u32) -> f32 {
#ifdef F16
    return unpack2x16float(weight_hh[at / 2u] >> (16u * (at % 2u))).x;
#else
    return weight_hh[at];
#endif
}

fn weight_lanes_at(at: u32) -> vec4f {
    let pitch = params.hidden * params.hidden;
    var w = vec4f(row_weight_at(at), 0.0, 0.0, 0.0);
    if (CELL_ROWS > 1u) {
        w.y = row_weight_at(at + pitch);
    }
    if (CELL_ROWS > 2u) {
        w.z = row_weight_at(at + 2u * pitch);
    }
    if (CELL_ROWS > 3u) {
        w.w = row_weight_at(at + 3u * pitch);
    }
    return w;
}
