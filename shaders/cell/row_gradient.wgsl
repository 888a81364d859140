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
// normalised state; of the biases of the products; and the gradients of the products themselves, with their gains.
const SUMS = CELL_STATES + CELL_PARAMETERS;
const STATE_SUMS = SUMS + CELL_STATE_FIRST - CELL_ROWS - CELL_PARAMETERS;
const BIAS_SUMS = STATE_SUMS + CELL_STATE_GAIN + CELL_STATE_BIAS;
const SCRATCH = BIAS_SUMS + CELL_ROWS;

// What the cell saw of a unit, and what the gradient is of.
struct Known {
    x: vec4f,
    // Normalised, and with gain and bias.
    hat: vec4f,
    r: vec4f,
    s: vec4f,
    p: vec4f,
    m: vec4f,
    // Of the new states: all, and without what is kept.
    d: vec4f,
    d_new: vec4f,
}

fn known_at(n: u32, unit: u32, keeps: vec4<bool>) -> Known {
    let hidden = params.hidden;
    let at = n * hidden + unit;
    let x = gates_at(params.inputs_first + n * CELL_INPUTS * hidden + unit, CELL_INPUTS);
    let hat = gates_at(params.products_first + n * CELL_ROWS * hidden + unit, CELL_ROWS);
    let d = carry_at(at, CELL_STATES) + vec4f(dy[params.dy_first + at], 0.0, 0.0, 0.0);
    let d_new = select(d, vec4f(), keeps);
    return Known(x, hat, hat * gains_at(unit) + bias_at(unit), states_at(params.slot, at), parameters_at(unit), masks_at(at), d, d_new);
}

fn add_carry(at: u32, count: u32, v: vec4f) {
    set_carry(at, count, carry_at(at, count) + v);
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
    let running = is_there && runs(n, params.frame);

    // Mean and factor of the normalised state; means of its gradient, and of that times the normalised.
    var state_mean = 0.0;
    var state_factor = 1.0;
    var state_means = vec4f();
    if (CELL_STATE_NORM != 0u) {
        for (var turn = 0u; turn < 3u; turn++) {
            var sum = vec4f();
            for (var unit = local; unit < hidden; unit += INVOCATIONS) {
                let at = n * hidden + unit;
                let u = known_at(n, unit, kept_states(params.frame, at));
                let after = cell_update(u.x, u.r, u.s, u.p, u.m);
                let centred = after[CELL_STATE_NORM] - state_mean;
                if (turn < 2u) {
                    sum.x += select(centred, centred * centred, turn == 1u);
                } else {
                    let hat = centred * state_factor;
                    let gain = state_gain_at(unit);
                    let d = cell_output_gradient(u.x, u.r, after, u.p, u.m, hat * gain + state_bias_at(unit), u.d_new.x).n * gain;
                    sum += vec4f(d, d * hat, 0.0, 0.0);
                }
            }
            let total = row_total(sum, local, subgroup_size) / f32(hidden);
            if (turn == 0u) {
                state_mean = total.x;
            } else if (turn == 1u) {
                state_factor = inverseSqrt(total.x + state_eps());
            } else {
                state_means = total;
            }
        }
    }

    var sum = vec4f();
    var sum_hat = vec4f();
    for (var unit = local; unit < hidden && is_there; unit += INVOCATIONS) {
        let at = n * hidden + unit;
        let inputs = params.inputs_first + n * CELL_INPUTS * hidden + unit;
        let products = params.products_first + n * CELL_ROWS * hidden + unit;
        var g = CellGradient();
        var d_hat = vec4f();
        if (running) {
            let keeps = kept_states(params.frame, at);
            let u = known_at(n, unit, keeps);
            var d_new = u.d_new;
            var more = CellGradient();
            if (CELL_STATE_NORM != 0u) {
                let after = cell_update(u.x, u.r, u.s, u.p, u.m);
                let hat = (after[CELL_STATE_NORM] - state_mean) * state_factor;
                let gain = state_gain_at(unit);
                let o = cell_output_gradient(u.x, u.r, after, u.p, u.m, hat * gain + state_bias_at(unit), d_new.x);
                more = CellGradient(o.x, o.r, vec4f(), o.p);
                d_new = vec4f(0.0, d_new.yzw) + o.s;
                d_new[CELL_STATE_NORM] += state_factor * (o.n * gain - state_means.x - hat * state_means.y);
                let sums = STATE_SUMS * plane() + at;
                if (CELL_STATE_GAIN != 0u) {
                    carry[sums] += o.n * hat;
                }
                if (CELL_STATE_BIAS != 0u) {
                    carry[sums + CELL_STATE_GAIN * plane()] += o.n;
                }
            }
            g = cell_gradient(u.x, u.r, u.s, u.p, u.m, d_new);
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
                d_hat = g.r * gains_at(unit);
                sum += d_hat;
                sum_hat += d_hat * u.hat;
            }
        }
        set_gates(inputs, CELL_INPUTS, g.x);
        if (CELL_NORM != 0u) {
            set_carry(SCRATCH * plane() + at, CELL_ROWS, d_hat);
        } else {
            set_gates(products, CELL_ROWS, g.r);
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
        for (var unit = local; unit < hidden && is_there; unit += INVOCATIONS) {
            let products = params.products_first + n * CELL_ROWS * hidden + unit;
            let hat = gates_at(products, CELL_ROWS);
            let d_hat = carry_at(SCRATCH * plane() + n * hidden + unit, CELL_ROWS);
            set_gates(products, CELL_ROWS, factor * (d_hat - mean - hat * mean_hat));
        }
    }
}
