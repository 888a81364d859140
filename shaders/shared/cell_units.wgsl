// What a unit of a cell has of its own. The importing kernel declares `units`, `sequences`, `params` and plane().

// bias_hh: one for each row of the product.
fn bias_at(unit: u32) -> vec4f {
    var b = vec4f();
    if (CELL_ROWS > 0u) {
        b.x = units[unit];
    }
    if (CELL_ROWS > 1u) {
        b.y = units[params.hidden + unit];
    }
    if (CELL_ROWS > 2u) {
        b.z = units[2u * params.hidden + unit];
    }
    if (CELL_ROWS > 3u) {
        b.w = units[3u * params.hidden + unit];
    }
    return b;
}

fn parameters_at(unit: u32) -> vec4f {
    var p = vec4f();
    let at = CELL_ROWS * params.hidden + unit;
    if (CELL_PARAMETERS > 0u) {
        p.x = units[at];
    }
    if (CELL_PARAMETERS > 1u) {
        p.y = units[at + params.hidden];
    }
    if (CELL_PARAMETERS > 2u) {
        p.z = units[at + 2u * params.hidden];
    }
    if (CELL_PARAMETERS > 3u) {
        p.w = units[at + 3u * params.hidden];
    }
    return p;
}

// `at` is n * hidden + unit.
fn masks_at(at: u32) -> vec4f {
    var m = vec4f();
    let first = params.batch + at;
    if (CELL_MASKS > 0u) {
        m.x = bitcast<f32>(sequences[first]);
    }
    if (CELL_MASKS > 1u) {
        m.y = bitcast<f32>(sequences[first + plane()]);
    }
    if (CELL_MASKS > 2u) {
        m.z = bitcast<f32>(sequences[first + 2u * plane()]);
    }
    if (CELL_MASKS > 3u) {
        m.w = bitcast<f32>(sequences[first + 3u * plane()]);
    }
    return m;
}
