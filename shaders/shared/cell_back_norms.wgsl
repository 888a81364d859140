// What kernels that run many steps of cells with normalised products backward share, with cell_back.wgsl.
#import cell_norms

// What the products of a sequence were multiplied with at a frame.
fn factors_at(frame: u32, n: u32) -> vec4f {
    let earliest = select(params.first + 1u - params.frames, params.first, params.reversed != 0u);
    let line = (frame - earliest) * params.batch + n;
    let first = ((UNDONE + 1u) * plane() + 63u) / 64u * 64u;
    if (CELL_NORM == 1u) {
        return vec4f(carry[first + line]);
    }
    var factors = vec4f();
    for (var row = 0u; row < CELL_ROWS; row++) {
        factors[row] = carry[first + line * CELL_ROWS + row];
    }
    return factors;
}

// The products of a unit, which are normalised, with gain and bias.
fn with_affine(before: Before, gains: vec4f, bias: vec4f) -> Before {
    return Before(before.x, before.r * gains + bias, before.s, before.dy);
}

// What a norm's derivative sums over all units: gradients of the normalised products, and these times the products; of all rows
// together, or of each in a vector of its own.
const SUM_VECTORS = max(CELL_NORM, 1u);

fn unit_sums(vector: u32, d_hat: vec4f, hat: vec4f) -> vec4f {
    if (CELL_NORM == 1u) {
        return vec4f(spans(d_hat).x, spans(d_hat * hat).x, 0.0, 0.0);
    }
    return select(d_hat, d_hat * hat, vector == 1u);
}

// Gradients of the products before the norm, of those after it.
fn before_norm(d_hat: vec4f, hat: vec4f, factors: vec4f, first: vec4f, second: vec4f) -> vec4f {
    let sums = select(first, vec4f(first.x), CELL_NORM == 1u) / span_size();
    let sums_hat = select(second, vec4f(first.y), CELL_NORM == 1u) / span_size();
    return select(vec4f(), factors * (d_hat - sums - hat * sums_hat), row_lanes());
}
