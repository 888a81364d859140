// Cells with layer norms, backward, the second of two dispatches of a step: the update and the norms. product.wgsl is the first; it
// added what the products of the step after leave to this one's h. A workgroup owns a sequence.
// Twin: src/cpu/cells/row_gradient.rs.
#import cell_gradient_call

// [lines of the stretch, spans]: what the products were multiplied with to be normalised, which they are in `gates`, but for gain
// and bias.
@group(0) @binding(1)
var<storage, read> factors: array<f32>;

#import cell_norms
alias Total = vec4f;
#import row_total

const INVOCATIONS = 256u;
// What `carry` holds behind the states, in planes: sums of the gradients of the parameters, gains, and gain and bias of the
// normalised state; of the biases of the products; and the gradients of the products themselves, with their gains, as far as they are not kept.
const SUMS = CELL_STATES + CELL_PARAMETERS;
const STATE_SUMS = SUMS + CELL_STATE_FIRST - CELL_ROWS - CELL_PARAMETERS;
const BIAS_SUMS = STATE_SUMS + CELL_STATE_GAIN + CELL_STATE_BIAS;
const SCRATCH = BIAS_SUMS + CELL_ROWS;

// Units of which an invocation keeps what it read: it needs that again behind each sum.
const KEPT = 4u;

// What the cell saw of a unit, and what the gradient is of.
struct Known {
    x: vec4f,
    // Products as they are normalised, before gain and bias.
    hat: vec4f,
    s: vec4f,
    // Gradients of the new states.
    d: vec4f,
}

fn known_at(n: u32, unit: u32) -> Known {
    let hidden = params.hidden;
    let at = n * hidden + unit;
    let x = gates_at(params.inputs_first + n * CELL_INPUTS * hidden + unit, CELL_INPUTS);
    let hat = gates_at(params.products_first + n * CELL_ROWS * hidden + unit, CELL_ROWS);
    let d = carry_at(at, CELL_STATES) + vec4f(dy[params.dy_first + at], 0.0, 0.0, 0.0);
    return Known(x, hat, states_at(params.slot, at), d);
}

// What is known of a sequence, as far as it is.
struct Row {
    n: u32,
    // Mean and factor of the normalised state; means of its gradient, and of that times the normalised.
    state_mean: f32,
    state_factor: f32,
    state_means: vec4f,
}

fn recurrent_of(hat: vec4f, unit: u32) -> vec4f {
    return hat * gains_at(unit) + bias_at(unit);
}

// What is to be summed for the normalised state: the state, its square, or its gradient and that times the normalised.
fn state_sums(u: Known, unit: u32, row: Row, turn: u32) -> vec4f {
    let at = row.n * params.hidden + unit;
    let r = recurrent_of(u.hat, unit);
    let p = parameters_at(unit);
    let m = masks_at(at);
    let after = cell_update(u.x, r, u.s, p, m);
    let centred = after[CELL_STATE_NORM] - row.state_mean;
    if (turn < 2u) {
        return vec4f(select(centred, centred * centred, turn == 1u), 0.0, 0.0, 0.0);
    }
    let hat = centred * row.state_factor;
    let gain = state_gain_at(unit);
    let d = select(u.d.x, 0.0, kept_states(params.frame, at).x);
    let d_hat = cell_output_gradient(u.x, r, after, p, m, hat * gain + state_bias_at(unit), d).n * gain;
    return vec4f(d_hat, d_hat * hat, 0.0, 0.0);
}

// Writes the gradients of a unit, but for those of a normalised product: it gives them, before the norm.
fn finish(u: Known, unit: u32, row: Row) -> vec4f {
    let n = row.n;
    let at = n * params.hidden + unit;
    var g = CellGradient();
    if (runs(n, params.frame)) {
        let r = recurrent_of(u.hat, unit);
        let p = parameters_at(unit);
        let m = masks_at(at);
        let keeps = kept_states(params.frame, at);
        var d_new = select(u.d, vec4f(), keeps);
        var more = CellGradient();
        if (CELL_STATE_NORM != 0u) {
            let after = cell_update(u.x, r, u.s, p, m);
            let hat = (after[CELL_STATE_NORM] - row.state_mean) * row.state_factor;
            let gain = state_gain_at(unit);
            let o = cell_output_gradient(u.x, r, after, p, m, hat * gain + state_bias_at(unit), d_new.x);
            more = CellGradient(o.x, o.r, vec4f(), o.p);
            d_new = vec4f(0.0, d_new.yzw) + o.s;
            d_new[CELL_STATE_NORM] += row.state_factor * (o.n * gain - row.state_means.x - hat * row.state_means.y);
            let sums = STATE_SUMS * plane() + at;
            if (CELL_STATE_GAIN != 0u) {
                carry[sums] += o.n * hat;
            }
            if (CELL_STATE_BIAS != 0u) {
                carry[sums + CELL_STATE_GAIN * plane()] += o.n;
            }
        }
        g = cell_gradient(u.x, r, u.s, p, m, d_new);
        g = CellGradient(g.x + more.x, g.r + more.r, g.s, g.p + more.p);
        set_carry(at, CELL_STATES, select(g.s + select(vec4f(), u.d, keeps), vec4f(), begins_anew(n, params.frame)));
        if (CELL_PARAMETERS > 0u) {
            add_carry(CELL_STATES * plane() + at, CELL_PARAMETERS, g.p);
        }
        if (CELL_NORM != 0u) {
            if (CELL_NORM_GAIN != 0u) {
                add_carry(SUMS * plane() + at, CELL_ROWS, g.r * u.hat);
            }
            add_carry(BIAS_SUMS * plane() + at, CELL_ROWS, g.r);
        }
    }
    set_gates(params.inputs_first + n * CELL_INPUTS * params.hidden + unit, CELL_INPUTS, g.x);
    if (CELL_NORM == 0u) {
        set_gates(params.products_first + n * CELL_ROWS * params.hidden + unit, CELL_ROWS, g.r);
    }
    return g.r * gains_at(unit);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#ifndef SUBGROUPS
    let subgroup_size = 1u;
#endif
    let hidden = params.hidden;
    let number = group.x + group.y * groups.x;
    let is_there = number < params.batch;
    let n = min(number, params.batch - 1u);
    var row = Row(n, 0.0, 1.0, vec4f());

    var kept: array<Known, KEPT>;
    for (var k = 0u; k < KEPT; k++) {
        let unit = local + k * INVOCATIONS;
        if (unit < hidden) {
            kept[k] = known_at(n, unit);
        }
    }
    let rest = local + KEPT * INVOCATIONS;
    if (CELL_STATE_NORM != 0u) {
        for (var turn = 0u; turn < 3u; turn++) {
            var sum = vec4f();
            for (var k = 0u; k < KEPT; k++) {
                let unit = local + k * INVOCATIONS;
                if (unit < hidden) {
                    sum += state_sums(kept[k], unit, row, turn);
                }
            }
            for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
                sum += state_sums(known_at(n, unit), unit, row, turn);
            }
            let mean = row_total(sum, local, subgroup_size) / f32(hidden);
            if (turn == 0u) {
                row.state_mean = mean.x;
            } else if (turn == 1u) {
                row.state_factor = inverseSqrt(mean.x + state_eps());
            } else {
                row.state_means = mean;
            }
        }
    }

    // Gradients of the normalised products, with their gains.
    var d_hats: array<vec4f, KEPT>;
    var sum = vec4f();
    var sum_hat = vec4f();
    if (is_there) {
        for (var k = 0u; k < KEPT; k++) {
            let unit = local + k * INVOCATIONS;
            if (unit < hidden) {
                d_hats[k] = finish(kept[k], unit, row);
                sum += d_hats[k];
                sum_hat += d_hats[k] * kept[k].hat;
            }
        }
        for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
            let u = known_at(n, unit);
            let d_hat = finish(u, unit, row);
            sum += d_hat;
            sum_hat += d_hat * u.hat;
            if (CELL_NORM != 0u) {
                set_carry(SCRATCH * plane() + n * hidden + unit, CELL_ROWS, d_hat);
            }
        }
    }

    if (CELL_NORM != 0u) {
        let mean = spans(row_total(sum, local, subgroup_size)) / span_size();
        let mean_hat = spans(row_total(sum_hat, local, subgroup_size)) / span_size();
        let line = params.first_line + n;
        var factor = vec4f();
        if (CELL_NORM == 1u) {
            factor = vec4f(factors[line]);
        } else {
            for (var k = 0u; k < CELL_ROWS; k++) {
                factor[k] = factors[line * CELL_ROWS + k];
            }
        }
        if (is_there) {
            let first = params.products_first + n * CELL_ROWS * hidden;
            for (var k = 0u; k < KEPT; k++) {
                let unit = local + k * INVOCATIONS;
                if (unit < hidden) {
                    set_gates(first + unit, CELL_ROWS, factor * (d_hats[k] - mean - kept[k].hat * mean_hat));
                }
            }
            for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
                let hat = gates_at(first + unit, CELL_ROWS);
                let d_hat = carry_at(SCRATCH * plane() + n * hidden + unit, CELL_ROWS);
                set_gates(first + unit, CELL_ROWS, factor * (d_hat - mean - hat * mean_hat));
            }
        }
    }
}
