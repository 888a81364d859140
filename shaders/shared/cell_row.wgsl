// The norms and the update of one sequence at one step, by a workgroup of 256, where its products are in place. The importing kernel
// declares what cell_call.wgsl does, `y`, `products` and products_first().
#import cell_norms
alias Total = vec4f;
#import row_total

#import row_products

const INVOCATIONS = 256u;

// Units of which an invocation keeps what it read: it needs that again behind each sum.
const KEPT = 4u;

// What is read of a unit.
struct Unit {
    x: vec4f,
    product: vec4f,
    s: vec4f,
}

// What is known of a sequence, as far as it is.
struct Row {
    n: u32,
    // Its step in this launch.
    k: u32,
    mean: vec4f,
    factor: vec4f,
    state_mean: f32,
    state_factor: f32,
}

fn unit_at(row: Row, unit: u32) -> Unit {
    let n = row.n;
    return Unit(inputs_at(frame_of(row.k), n, unit), product_at(n, unit), states_at(params.steps + row.k, n * params.hidden + unit));
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
    let frame = frame_of(row.k);
    let next = params.steps + row.k + 1u;
    let at = n * params.hidden + unit;
    var s = u.s;
    var out = 0.0;
    if (runs(n, frame)) {
        var after = new_states(u, unit, row);
        if (CELL_STATE_NORM != 0u) {
            let normed = (after[CELL_STATE_NORM] - row.state_mean) * row.state_factor * state_gain_at(unit) + state_bias_at(unit);
            after.x = cell_output(u.x, recurrent_of(u.product, unit, row), after, parameters_at(unit), masks_at(at), normed);
        }
        s = zoned_out(frame, at, after, s);
        out = s.x;
    }
    set_states(next, at, states_before(next, frame_of(row.k + 1u), n, s));
    y[frame_at(params.y_first, frame, plane()) + at] = out;
}

// All of it, for step k of this launch of a sequence, by all invocations of a workgroup.
fn finish_row(number: u32, k: u32, local: u32, subgroup_size: u32) {
    let hidden = params.hidden;
    let n = min(number, params.batch - 1u);
    var row = Row(n, k, vec4f(), vec4f(1.0), 0.0, 1.0);

    var kept: array<Unit, KEPT>;
    var sum = vec4f();
    for (var i = 0u; i < KEPT; i++) {
        let unit = local + i * INVOCATIONS;
        if (unit < hidden) {
            kept[i] = unit_at(row, unit);
            sum += kept[i].product;
        }
    }
    let rest = local + KEPT * INVOCATIONS;
    if (CELL_NORM != 0u) {
        for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
            sum += product_at(n, unit);
        }
        row.mean = spans(row_total(sum, local, subgroup_size)) / span_size();
        var squares = vec4f();
        for (var i = 0u; i < KEPT; i++) {
            if (local + i * INVOCATIONS < hidden) {
                squares += squares_of(kept[i].product, row);
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
            for (var i = 0u; i < KEPT; i++) {
                let unit = local + i * INVOCATIONS;
                if (unit < hidden) {
                    let centred = centred_state(kept[i], unit, row);
                    total += select(centred, centred * centred, turn == 1u);
                }
            }
            for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
                let centred = centred_state(unit_at(row, unit), unit, row);
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

    if (number < params.batch) {
        for (var i = 0u; i < KEPT; i++) {
            let unit = local + i * INVOCATIONS;
            if (unit < hidden) {
                finish(kept[i], unit, row);
            }
        }
        for (var unit = rest; unit < hidden; unit += INVOCATIONS) {
            finish(unit_at(row, unit), unit, row);
        }
    }
}
