//! A cell, as the kernels of all tiers take it: text for their slot, and functions for their twins.

use super::Cell;
use super::cells::{Norm, NormSpan, Norms};
use super::plan::Shape;
use crate::device::program::{Lanes, Program};
use crate::expr::{Function, Scratch};
use crate::tensor::nearest_half;
use std::sync::Arc;

/// What the vectors of a cell are called, in the order in which twins are given them, four lanes each.
const GROUPS: [&str; 6] = ["x", "r", "s", "p", "m", "d_s"];
/// And those that a derivative gives.
const GRADIENTS: [&str; 4] = ["d_x", "d_r", "d_s", "d_p"];
/// The same of what a second product multiplies, and of h, of a normalised state; there are other numbers than four of the last.
const MID_GROUPS: [&str; 6] = ["x", "r", "s", "p", "m", "d_mid"];
const OUTPUT_GROUPS: [&str; 7] = ["x", "r", "s", "p", "m", "n", "d_s"];
const OUTPUT_GRADIENTS: [&str; 5] = ["d_x", "d_r", "d_s", "d_p", "d_n"];

/// In place of the output of cells that have none, for kernels that know norms: it is never called.
const NO_OUTPUT: &str = "
struct CellOutputGradient { x: vec4f, r: vec4f, s: vec4f, p: vec4f, n: f32 }
fn cell_output(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, n: f32) -> f32 { return 0.0; }
fn cell_output_gradient(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, n: f32, d: f32) -> CellOutputGradient { return CellOutputGradient(); }
";

/// Where h is f16: what a cell gives for it becomes the nearest. The derivative is that of the cell, as if nothing were rounded.
const ROUNDED_UPDATE: &str = concat!(
    include_str!("../../shaders/shared/cell_half.wgsl"),
    "
fn cell_update(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f) -> vec4f {
    let states = cell_wide_update(x, r, s, p, m);
    return vec4f(cell_half(states.x), states.yzw);
}
"
);
const ROUNDED_OUTPUT: &str = "
fn cell_output(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, n: f32) -> f32 {
    return cell_half(cell_wide_output(x, r, s, p, m, n));
}
";

/// Facts of a cell, and its program; `halves`: whether h is f16.
pub(super) fn program(cell: &Cell, halves: bool) -> (Shape, Arc<Program>) {
    let &Norms { recurrent: norm, state, .. } = cell.norms();
    let count = |names: &[String]| names.len() as u64;
    let shape = Shape {
        inputs: count(cell.gates()),
        rows: count(cell.recurrent()),
        second: cell.second() as u64,
        states: count(cell.states()),
        parameters: count(cell.params()),
        masks: count(cell.masks()),
        summed: is_summed(cell),
        projects: !reads_h(cell),
        has_own_h: is_summed(cell) && cell.states().len() > 1,
        gains: norm.filter(|norm| norm.gain).map_or(0, |_| count(cell.recurrent())),
        state_vectors: state.map_or(0, |(_, norm)| u64::from(norm.gain) + u64::from(norm.bias)),
    };
    let constants = vec![
        ("CELL_INPUTS", shape.inputs as u32),
        ("CELL_ROWS", shape.rows as u32),
        ("CELL_STATES", shape.states as u32),
        ("CELL_PARAMETERS", shape.parameters as u32),
        ("CELL_MASKS", shape.masks as u32),
        ("CELL_SUMMED", u32::from(shape.summed)),
        ("CELL_SECOND", shape.second as u32),
        ("CELL_NORM", span(norm)),
        ("CELL_NORM_GAIN", norm.map_or(0, |norm| u32::from(norm.gain))),
        ("CELL_NORM_EPS", norm.map_or(0, |norm| norm.eps.to_bits())),
        ("CELL_STATE_NORM", state.map_or(0, |(number, _)| number as u32)),
        ("CELL_STATE_GAIN", state.map_or(0, |(_, norm)| u32::from(norm.gain))),
        ("CELL_STATE_BIAS", state.map_or(0, |(_, norm)| u32::from(norm.bias))),
        ("CELL_STATE_EPS", state.map_or(0, |(_, norm)| norm.eps.to_bits())),
    ];
    let mut twins = vec![
        ("cell_update", rounded(halves, twin(cell.update(), &GROUPS[..5], &["s"]))),
        ("cell_gradient", twin(cell.update_gradient(), &GROUPS, &GRADIENTS)),
    ];
    if let Some(mid) = cell.mid() {
        twins.push(("cell_mid", twin(&mid.function, &GROUPS[..5], &["mid"])));
        twins.push(("cell_mid_gradient", twin(&mid.gradient, &MID_GROUPS, &GRADIENTS)));
    }
    if let Some(output) = cell.output() {
        twins.push(("cell_output", rounded(halves, twin(&output.function, &OUTPUT_GROUPS[..6], &["s"]))));
        twins.push(("cell_output_gradient", twin(&output.gradient, &OUTPUT_GROUPS, &OUTPUT_GRADIENTS)));
    }
    let all = lanes("", 0, shape.rows);
    let first_rows = shape.rows - shape.second;
    let no_output = if cell.output().is_none() { NO_OUTPUT } else { "" };
    let text = match halves {
        false => cell.wgsl(),
        true => {
            let output = if cell.output().is_some() { ROUNDED_OUTPUT } else { "" };
            [&*cell.wgsl_named("cell_wide_update", "cell_wide_output"), ROUNDED_UPDATE, output].concat()
        }
    };
    let parts = [&all, &lanes("_first", 0, first_rows), &lanes("_second", first_rows, shape.rows), &text, no_output];
    (shape, Arc::new(Program::new(constants, &parts.concat(), twins)))
}

/// What has a mean of its own, as kernels know it.
fn span(norm: Option<Norm>) -> u32 {
    match norm.map(|norm| norm.span) {
        None => 0,
        Some(NormSpan::Whole) => 1,
        Some(NormSpan::Gate) => 2,
    }
}

/// A type for the rows `first` to `end` of the product, and how they become a vector of four and come from one.
fn lanes(part: &str, first: u64, end: u64) -> String {
    let name = match part {
        "_first" => "CellFirst",
        "_second" => "CellSecond",
        _ => "CellRows",
    };
    // One, where there are none.
    let (first, end) = if first < end { (first, end) } else { (0, 1) };
    let kind = ["f32", "vec2f", "vec3f", "vec4f"][(end - first - 1) as usize];
    let picked = &"xyzw"[first as usize..end as usize];
    let [before, behind] = [first, 4 - end].map(|count| count as usize);
    let wide: Vec<&str> = std::iter::repeat_n("0.0", before).chain(["r"]).chain(std::iter::repeat_n("0.0", behind)).collect();
    let wide = wide.join(", ");
    format!(
        "alias {name} = {kind};\nfn cell_narrow{part}(r: vec4f) -> {name} {{ return r.{picked}; }}\nfn cell_wide{part}(r: {name}) -> vec4f {{ return vec4f({wide}); }}\n"
    )
}

/// Whether projection and product come into the cell as their sum only: then they have the same derivative.
fn is_summed(cell: &Cell) -> bool {
    let gradient = cell.update_gradient();
    let names: Vec<&str> = gradient.inputs().iter().map(String::as_str).collect();
    let text = gradient.wgsl(&names);
    let of = |letter: &str, number: usize| {
        let place = gradient.outputs().iter().position(|name| *name == format!("d_{letter}{number}"));
        place.and_then(|place| text.outputs.get(place))
    };
    let gates = cell.gates().len();
    let is_plain = cell.second() == 0 && cell.norms().recurrent.is_none() && cell.norms().state.is_none();
    is_plain && gates == cell.recurrent().len() && (0..gates).all(|gate| of("x", gate).is_some() && of("x", gate) == of("r", gate))
}

/// Whether the update looks at the h before it, besides the product.
fn reads_h(cell: &Cell) -> bool {
    let update = cell.update();
    let h = update.inputs().iter().position(|name| name == "s0");
    update.reads().any(|place| Some(place) == h)
}

/// A twin whose first result, h, becomes the nearest f16.
fn rounded(halves: bool, function: Box<Lanes>) -> Box<Lanes> {
    if !halves {
        return function;
    }
    Box::new(move |arguments, results| {
        function(arguments, results);
        results.iter_mut().take(1).flat_map(|h| h.iter_mut()).for_each(|h| *h = nearest_half(*h).to_f32());
    })
}

/// A function of a cell with its arguments and results by their places: four lanes a group. A name without a number is the first.
fn twin(function: &Function, arguments: &[&str], results: &[&str]) -> Box<Lanes> {
    let places = |names: &[String], groups: &[&str]| -> Vec<usize> {
        let place = |name: &String| {
            let (group, number) = if groups.contains(&&**name) { (&**name, "0") } else { name.split_at(name.len().saturating_sub(1)) };
            let group = groups.iter().position(|known| *known == group).unwrap_or_default();
            4 * group + number.parse::<usize>().unwrap_or_default()
        };
        names.iter().map(place).collect()
    };
    let (inputs, outputs) = (places(function.inputs(), arguments), places(function.outputs(), results));
    let function = function.clone();
    Box::new(move |arguments, results| {
        let given: Vec<&[f32]> = inputs.iter().map(|&place| arguments.get(place).copied().unwrap_or_default()).collect();
        let mut slots: Vec<Option<&mut [f32]>> = results.iter_mut().map(|result| Some(&mut **result)).collect();
        let mut wanted: Vec<&mut [f32]> =
            outputs.iter().map(|&place| slots.get_mut(place).and_then(Option::take).unwrap_or_default()).collect();
        function.eval_lanes(&given, &mut wanted, &mut Scratch::default());
    })
}
