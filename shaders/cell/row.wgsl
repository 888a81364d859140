// Cells with layer norms, forward: the norms and the update, where the products are in place; product.wgsl or normed_step.wgsl
// left them.
// A workgroup owns a sequence.
// Twin: src/cpu/cells/row.rs.
#import cell_call

// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;
// [batch, CELL_ROWS, hidden]
@group(0) @binding(7)
var<storage, read_write> products: array<f32>;

#import cell_norms
alias Total = vec4f;
#import row_total

const INVOCATIONS = 256u;

fn products_first() -> u32 {
    return 0u;
}
#import row_products

// Units of which an invocation keeps what it read: it needs that again behind each sum.
const KEPT = 4u;

// What is read of a unit.
struct Unit {
    x: vec4f,
    product: vec4f,
    s: vec4f,
}

fn unit_at(n: u32, unit: u32) -> Unit {
    return Unit(inputs_at(params.first, n, unit), product_at(n, unit), states_at(params.steps, n * params.hidden + unit));
}

// What is known of a sequence, as far as it is.
struct Row {
    n: u32,
    mean: vec4f,
    factor: vec4f,
    state_mean: f32,
    state_factor: f32,
}

fn squares_of(product: vec4f, row: Row) -> vec4f {
    let centred = select(vec4f(), product - row.mean, row_lanes());
    return centred * centred;
}

// What the cell sees of the product: normalised, with its bias.
fn recurrent_of(product: vec4f, unit: u32, row: Row) -> vec4f {
    return select(vec4f(), (product - row.mean) * row.factor * gains_at(unit), row_lanes()) + bias_at(unit);
}

fn new_states(u: Unit, unit: u32, row: Row) -> vec4f {
    let r = recurrent_of(u.product, unit, row);
    return cell_update(u.x, r, u.s, parameters_at(unit), masks_at(row.n * params.hidden + unit));
}

// The state to be normalised, less its mean.
fn centred_state(u: Unit, unit: u32, row: Row) -> f32 {
    return new_states(u, unit, row)[CELL_STATE_NORM] - row.state_mean;
}

fn finish(u: Unit, unit: u32, row: Row) {
    let n = row.n;
    let at = n * params.hidden + unit;
    var s = u.s;
    var out = 0.0;
    if (runs(n, params.first)) {
        var after = new_states(u, unit, row);
        if (CELL_STATE_NORM != 0u) {
            let normed = (after[CELL_STATE_NORM] - row.state_mean) * row.state_factor * state_gain_at(unit) + state_bias_at(unit);
            after.x = cell_output(u.x, recurrent_of(u.product, unit, row), after, parameters_at(unit), masks_at(at), normed);
        }
        s = zoned_out(params.first, at, after, s);
        out = s.x;
    }
    set_states(params.steps + 1u, at, states_before(params.steps + 1u, frame_of(1u), n, s));
    y[params.y_first + at] = out;
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
    var row = Row(n, vec4f(), vec4f(1.0), 0.0, 1.0);

    var kept: array<Unit, KEPT>;
    var sum = vec4f();
    for (var k = 0u; k < KEPT; k++) {
        let unit = local + k * INVOCATIONS;
        if (unit < hidden) {
            kept[k] = unit_at(n, unit);
            sum += kept[k].product;
        }
    }
    let rest = local + KEPT * INVOCATIONS;
    if (CELL_NORM != 0u) {
        for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
            sum += product_at(n, unit);
        }
        row.mean = spans(row_total(sum, local, subgroup_size)) / span_size();
        var squares = vec4f();
        for (var k = 0u; k < KEPT; k++) {
            if (local + k * INVOCATIONS < hidden) {
                squares += squares_of(kept[k].product, row);
            }
        }
        for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
            squares += squares_of(product_at(n, unit), row);
        }
        row.factor = inverseSqrt(spans(row_total(squares, local, subgroup_size)) / span_size() + norm_eps());
    }

    if (CELL_STATE_NORM != 0u) {
        // Twice, for the mean, and for the variance around it.
        for (var turn = 0u; turn < 2u; turn++) {
            var total = 0.0;
            for (var k = 0u; k < KEPT; k++) {
                let unit = local + k * INVOCATIONS;
                if (unit < hidden) {
                    let centred = centred_state(kept[k], unit, row);
                    total += select(centred, centred * centred, turn == 1u);
                }
            }
            for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
                let centred = centred_state(unit_at(n, unit), unit, row);
                total += select(centred, centred * centred, turn == 1u);
            }
            let mean = row_total(vec4f(total, 0.0, 0.0, 0.0), local, subgroup_size).x / f32(hidden);
            if (turn == 0u) {
                row.state_mean = mean;
            } else {
                row.state_factor = inverseSqrt(mean + state_eps());
            }
        }
    }

    if (is_there) {
        for (var k = 0u; k < KEPT; k++) {
            let unit = local + k * INVOCATIONS;
            if (unit < hidden) {
                finish(kept[k], unit, row);
            }
        }
        for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
            finish(unit_at(n, unit), unit, row);
        }
    }
}
