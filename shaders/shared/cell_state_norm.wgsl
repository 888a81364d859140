// The norm of a state on its way back. The gradient of the state of a unit is that of all units' normalised states, less two means over
// them: of these gradients, and of these times what is normalised. All else is linear in it; so kernels take the gradients as if the means
// were 0, and then less what the means would give. The importing kernel declares what cell_norms.wgsl does.

// Numbers that the product has means of: all rows, or each.
const NORM_SPANS = min(CELL_NORM, 1u) * (1u + CELL_NORM / 2u * (CELL_ROWS - 1u));
// Words that are known of the state of a sequence at a frame.
const STATE_WORDS = 2u + 4u * NORM_SPANS;

// Known of a sequence at a frame before any step back: what the product's two sums get of 1 in the first of the state's means, and in the
// second: a lane a row, or the first lane.
struct OfMeans {
    first_of_first: vec4f,
    first_of_second: vec4f,
    second_of_first: vec4f,
    second_of_second: vec4f,
}

// What gain and bias make of a normalised state.
fn state_affine_at(unit: u32) -> vec2f {
    return vec2f(state_gain_at(unit), state_bias_at(unit));
}

// The gradients of a unit of 1 in the gradient of its normalised state: what a mean takes away.
fn of_normalised(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, factor: f32) -> CellGradient {
    var d = vec4f();
    d[CELL_STATE_NORM] = factor;
    return cell_gradient(x, r, s, p, m, d);
}
