// What kernels that run many steps of cells with layer norms backward share, with cell_back.wgsl.
#import cell_norms
#import cell_state_norm

// The place of a sequence at a frame among those of this launch.
fn line_of(frame: u32, n: u32) -> u32 {
    let earliest = select(params.first + 1u - params.frames, params.first, params.reversed != 0u);
    return (frame - earliest) * params.batch + n;
}

// `at` in whole windows.
fn whole(at: u32) -> u32 {
    return (at + 63u) / 64u * 64u;
}

// What the products of a sequence were multiplied with at a frame.
fn factors_at(frame: u32, n: u32) -> vec4f {
    let line = line_of(frame, n);
    let first = whole((UNDONE + 1u) * plane());
    if (CELL_NORM == 0u) {
        return vec4f();
    }
    if (CELL_NORM == 1u) {
        return vec4f(carry[first + line]);
    }
    var factors = vec4f();
    for (var row = 0u; row < CELL_ROWS; row++) {
        factors[row] = carry[first + line * CELL_ROWS + row];
    }
    return factors;
}

// Where that begins which is known of the state of a sequence at a frame (cell/state_sums.wgsl).
fn state_first(frame: u32, n: u32) -> u32 {
    let factors = whole((UNDONE + 1u) * plane());
    return factors + whole(params.frames * params.batch * NORM_SPANS) + line_of(frame, n) * STATE_WORDS;
}

// The mean of the state, and what it is multiplied with to be normalised.
fn moments_at(frame: u32, n: u32) -> vec2f {
    if (CELL_STATE_NORM == 0u) {
        return vec2f();
    }
    let first = state_first(frame, n);
    return vec2f(carry[first], carry[first + 1u]);
}

fn of_means_at(frame: u32, n: u32) -> OfMeans {
    var parts = OfMeans();
    let first = state_first(frame, n) + 2u;
    for (var span = 0u; span < NORM_SPANS && CELL_STATE_NORM != 0u; span++) {
        parts.first_of_first[span] = carry[first + 4u * span];
        parts.first_of_second[span] = carry[first + 4u * span + 1u];
        parts.second_of_first[span] = carry[first + 4u * span + 2u];
        parts.second_of_second[span] = carry[first + 4u * span + 3u];
    }
    return parts;
}

// The products of a unit, which are normalised, with gain and bias.
fn with_affine(before: Before, gains: vec4f, bias: vec4f) -> Before {
    return Before(before.x, before.r * gains + bias, before.s, before.dy);
}

// The gradients of a unit; of what gain and bias make of its normalised state; and that without them.
struct UnitBack {
    g: CellGradient,
    shown: f32,
    hat: f32,
}

// As unit_gradient, with the means of the state's norm taken for 0.
fn unit_back(frame: u32, at: u32, seen: Before, p: vec4f, m: vec4f, affine: vec2f, moments: vec2f, d: vec4f) -> UnitBack {
    if (CELL_STATE_NORM == 0u) {
        return UnitBack(unit_gradient(frame, at, seen, p, m, d), 0.0, 0.0);
    }
    let keeps = kept_states(frame, at);
    var d_new = select(d, vec4f(), keeps);
    let after = cell_update(seen.x, seen.r, seen.s, p, m);
    let hat = (after[CELL_STATE_NORM] - moments.x) * moments.y;
    let o = cell_output_gradient(seen.x, seen.r, after, p, m, hat * affine.x + affine.y, d_new.x);
    d_new = vec4f(0.0, d_new.yzw) + o.s;
    d_new[CELL_STATE_NORM] += moments.y * o.n * affine.x;
    let g = cell_gradient(seen.x, seen.r, seen.s, p, m, d_new);
    return UnitBack(CellGradient(g.x + o.x, g.r + o.r, g.s + select(vec4f(), d, keeps), g.p + o.p), o.n, hat);
}

// Of the two sums of the state's norm, what they take away of the gradient of a unit's normalised state.
fn mean_part(sums: vec2f, hat: f32) -> f32 {
    return (sums.x + hat * sums.y) / f32(params.hidden);
}

fn less(g: CellGradient, part: f32, of_state: CellGradient) -> CellGradient {
    return CellGradient(g.x - part * of_state.x, g.r - part * of_state.r, g.s - part * of_state.s, g.p - part * of_state.p);
}

// What the derivatives of norms sum over all units. Of the product: gradients of its normalised rows, and these times the rows; of all
// rows together, or of each in a vector of its own. Of the state, in the last two lanes of a vector: the gradient of the normalised, and
// that times it.
const STATE_VECTOR = CELL_NORM / 2u * 2u;
const SUM_VECTORS = max(max(CELL_NORM, 1u), min(CELL_STATE_NORM, 1u) * (STATE_VECTOR + 1u));
alias Sums = array<vec4f, 3>;

fn unit_sums(vector: u32, d_hat: vec4f, hat: vec4f, d_state: f32, state_hat: f32) -> vec4f {
    if (CELL_NORM == 1u) {
        return vec4f(spans(d_hat).x, spans(d_hat * hat).x, d_state, d_state * state_hat);
    }
    if (vector == STATE_VECTOR) {
        return vec4f(0.0, 0.0, d_state, d_state * state_hat);
    }
    return select(d_hat, d_hat * hat, vector == 1u);
}

// Those of the product as they are with the means of the state's norm.
fn with_means(sums: Sums, parts: OfMeans) -> Sums {
    var all = sums;
    if (CELL_STATE_NORM != 0u && CELL_NORM != 0u) {
        let means = sums[STATE_VECTOR].zw / f32(params.hidden);
        let first = means.x * parts.first_of_first + means.y * parts.first_of_second;
        let second = means.x * parts.second_of_first + means.y * parts.second_of_second;
        if (CELL_NORM == 1u) {
            all[0] -= vec4f(first.x, second.x, 0.0, 0.0);
        } else {
            all[0] -= first;
            all[1] -= second;
        }
    }
    return all;
}

// Gradients of the products before the norm, of those after it.
fn before_norm(d_hat: vec4f, hat: vec4f, factors: vec4f, first: vec4f, second: vec4f) -> vec4f {
    let sums = select(first, vec4f(first.x), CELL_NORM == 1u) / span_size();
    let sums_hat = select(second, vec4f(first.y), CELL_NORM == 1u) / span_size();
    return select(vec4f(), factors * (d_hat - sums - hat * sums_hat), row_lanes());
}
