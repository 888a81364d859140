// Products of all sequences, [batch, CELL_ROWS, hidden] from products_first() on. The importing kernel declares that, `products` and
// `params` with hidden.
fn product_at(n: u32, unit: u32) -> vec4f {
    let at = products_first() + n * CELL_ROWS * params.hidden + unit;
    var r = vec4f();
    if (CELL_ROWS > 0u) {
        r.x = products[at];
    }
    if (CELL_ROWS > 1u) {
        r.y = products[at + params.hidden];
    }
    if (CELL_ROWS > 2u) {
        r.z = products[at + 2u * params.hidden];
    }
    if (CELL_ROWS > 3u) {
        r.w = products[at + 3u * params.hidden];
    }
    return r;
}
