// The layer norms of a cell: of its product, a lane a row, and of one state. The importing kernel declares `units` and `params` with
// hidden.
// Twin: src/cpu/cells/norms.rs.

// Which lanes there are.
fn row_lanes() -> vec4<bool> {
    return vec4u(0u, 1u, 2u, 3u) < vec4u(CELL_ROWS);
}

// Of sums over all units, a lane a row: those of what has a mean of its own.
fn spans(total: vec4f) -> vec4f {
    if (CELL_NORM == 1u) {
        return vec4f((total.x + total.y) + (total.z + total.w));
    }
    return total;
}

// Numbers that have a mean of their own.
fn span_size() -> f32 {
    return f32(params.hidden * select(1u, CELL_ROWS, CELL_NORM == 1u));
}

fn norm_eps() -> f32 {
    let bits = CELL_NORM_EPS;
    return bitcast<f32>(bits);
}

fn state_eps() -> f32 {
    let bits = CELL_STATE_EPS;
    return bitcast<f32>(bits);
}

// The gains of the product's rows.
fn gains_at(unit: u32) -> vec4f {
    var gains = vec4f(1.0);
    if (CELL_NORM != 0u && CELL_NORM_GAIN != 0u) {
        let at = (CELL_ROWS + CELL_PARAMETERS) * params.hidden + unit;
        gains.x = units[at];
        if (CELL_ROWS > 1u) {
            gains.y = units[at + params.hidden];
        }
        if (CELL_ROWS > 2u) {
            gains.z = units[at + 2u * params.hidden];
        }
        if (CELL_ROWS > 3u) {
            gains.w = units[at + 3u * params.hidden];
        }
    }
    return gains;
}

// Vectors of units before those of the normalised state.
const CELL_STATE_FIRST = CELL_ROWS + CELL_PARAMETERS + min(CELL_NORM, 1u) * CELL_NORM_GAIN * CELL_ROWS;

fn state_gain_at(unit: u32) -> f32 {
    if (CELL_STATE_GAIN != 0u) {
        return units[CELL_STATE_FIRST * params.hidden + unit];
    }
    return 1.0;
}

fn state_bias_at(unit: u32) -> f32 {
    if (CELL_STATE_BIAS != 0u) {
        return units[(CELL_STATE_FIRST + CELL_STATE_GAIN) * params.hidden + unit];
    }
    return 0.0;
}
