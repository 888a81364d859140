//! A kernel that calls every function of a cell's text, for compilers and for a GPU.

use weft::recurrent::cells::Cell;

/// Vectors an invocation reads: x, r, s, p, m, d, and (n, d of one number, 0, 0).
pub const READS: usize = 7;
/// Vectors it writes: the update, its gradient (4), (mid, output, d_n, 0), the gradient of mid (4), that of the output (4).
pub const WRITES: usize = 14;

/// The kernel: the text of the cell, and a `main` that calls it.
pub fn kernel(cell: &Cell) -> String {
    let mut main = String::from(
        "
@group(0) @binding(0)
var<storage, read> inputs: array<vec4f>;
@group(0) @binding(1)
var<storage, read_write> results: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let first = id.x * 7u;
    let place = id.x * 14u;
    if place + 13u >= arrayLength(&results) {
        return;
    }
    let x = inputs[first];
    let r = inputs[first + 1u];
    let s = inputs[first + 2u];
    let p = inputs[first + 3u];
    let m = inputs[first + 4u];
    let d = inputs[first + 5u];
    let one = inputs[first + 6u];
    results[place] = cell_update(x, r, s, p, m);
    let gradient = cell_gradient(x, r, s, p, m, d);
    results[place + 1u] = gradient.x;
    results[place + 2u] = gradient.r;
    results[place + 3u] = gradient.s;
    results[place + 4u] = gradient.p;
    var single = vec4f();
",
    );
    let parts = [(cell.mid().is_some(), "mid", "x", "", 6), (cell.output().is_some(), "output", "y", "one.x, ", 10)];
    for (there, name, lane, more, first) in parts {
        if !there {
            continue;
        }
        let comma = more.trim_end_matches(", ");
        let extra = if comma.is_empty() { String::new() } else { format!(", {comma}") };
        main += &format!("    single.{lane} = cell_{name}(x, r, s, p, m{extra});\n");
        main += &format!("    let d_{name} = cell_{name}_gradient(x, r, s, p, m, {more}one.y);\n");
        for (place, group) in ["x", "r", "s", "p"].iter().enumerate() {
            main += &format!("    results[place + {}u] = d_{name}.{group};\n", first + place);
        }
        if name == "output" {
            main += "    single.z = d_output.n;\n";
        }
    }
    main += "    results[place + 5u] = single;\n}\n";
    cell.wgsl() + &main
}
