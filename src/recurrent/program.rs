//! A cell, as the kernels of all tiers take it: text for their slot, and functions for their twins.

use super::Cell;
use super::plan::Shape;
use crate::device::program::{Lanes, Program};
use crate::expr::{Function, Scratch};
use std::sync::Arc;

/// What the vectors of a cell are called, in the order in which twins are given them, four lanes each.
const GROUPS: [&str; 6] = ["x", "r", "s", "p", "m", "d_s"];
/// And those that a derivative gives.
const GRADIENTS: [&str; 4] = ["d_x", "d_r", "d_s", "d_p"];

/// Facts of a cell, and its program.
pub(super) fn program(cell: &Cell) -> (Shape, Arc<Program>) {
    let count = |names: &[String]| names.len() as u64;
    let shape = Shape {
        inputs: count(cell.gates()),
        rows: count(cell.recurrent()),
        states: count(cell.states()),
        parameters: count(cell.params()),
        masks: count(cell.masks()),
        summed: is_summed(cell),
    };
    let constants = vec![
        ("CELL_INPUTS", shape.inputs as u32),
        ("CELL_ROWS", shape.rows as u32),
        ("CELL_STATES", shape.states as u32),
        ("CELL_PARAMETERS", shape.parameters as u32),
        ("CELL_MASKS", shape.masks as u32),
        ("CELL_SUMMED", u32::from(shape.summed)),
    ];
    let twins = vec![
        ("cell_update", twin(cell.update(), &GROUPS[..5], &["s"])),
        ("cell_gradient", twin(cell.update_gradient(), &GROUPS, &GRADIENTS)),
    ];
    (shape, Arc::new(Program::new(constants, &[rows(shape.rows), &cell.wgsl()].concat(), twins)))
}

/// A type for as many rows as the product has, and how it becomes a vector of four.
fn rows(count: u64) -> &'static str {
    match count {
        0 | 1 => {
            "alias CellRows = f32;\nfn cell_narrow(r: vec4f) -> CellRows { return r.x; }\nfn cell_wide(r: CellRows) -> vec4f { return vec4f(r, 0.0, 0.0, 0.0); }\n"
        }
        2 => {
            "alias CellRows = vec2f;\nfn cell_narrow(r: vec4f) -> CellRows { return r.xy; }\nfn cell_wide(r: CellRows) -> vec4f { return vec4f(r, 0.0, 0.0); }\n"
        }
        3 => {
            "alias CellRows = vec3f;\nfn cell_narrow(r: vec4f) -> CellRows { return r.xyz; }\nfn cell_wide(r: CellRows) -> vec4f { return vec4f(r, 0.0); }\n"
        }
        _ => {
            "alias CellRows = vec4f;\nfn cell_narrow(r: vec4f) -> CellRows { return r; }\nfn cell_wide(r: CellRows) -> vec4f { return r; }\n"
        }
    }
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
    let is_plain = cell.second() == 0 && cell.norms().recurrent.is_none();
    is_plain && gates == cell.recurrent().len() && (0..gates).all(|gate| of("x", gate).is_some() && of("x", gate) == of("r", gate))
}

/// A function of a cell with its arguments and results by their places: four lanes a group.
fn twin(function: &Function, arguments: &[&str], results: &[&str]) -> Box<Lanes> {
    let places = |names: &[String], groups: &[&str]| -> Vec<usize> {
        let place = |name: &String| {
            let (group, number) = name.split_at(name.len().saturating_sub(1));
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
