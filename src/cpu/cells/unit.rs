//! Many units of one sequence at one frame, as the functions of a cell take them.

use crate::device::program::Program;
use std::ops::Range;

/// Vectors of each kind that a cell has.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub inputs: usize,
    pub rows: usize,
    pub states: usize,
    pub parameters: usize,
    pub masks: usize,
    pub summed: bool,
}

impl Shape {
    pub(super) fn of(program: &Program) -> Self {
        let [inputs, rows, states, parameters, masks] =
            ["CELL_INPUTS", "CELL_ROWS", "CELL_STATES", "CELL_PARAMETERS", "CELL_MASKS"].map(|name| program.constant(name) as usize);
        Self { inputs, rows, states, parameters, masks, summed: program.constant("CELL_SUMMED") != 0 }
    }
}

/// Lanes of one kind: up to four vectors, those that a cell does not have empty.
pub(super) type Four<'a> = [&'a [f32]; 4];

/// `count` vectors of some units, `pitch` apart.
pub(super) fn vectors(of: &[f32], count: usize, first: usize, pitch: usize, units: Range<usize>) -> Four<'_> {
    std::array::from_fn(|k| if k < count { &of[first + k * pitch..][units.clone()] } else { &[][..] })
}

/// As [`vectors`], of numbers that are stored as their bits.
pub(super) fn masks(of: &[u32], count: usize, first: usize, pitch: usize, units: Range<usize>) -> Four<'_> {
    std::array::from_fn(|k| if k < count { bytemuck::cast_slice(&of[first + k * pitch..][units.clone()]) } else { &[][..] })
}

/// The inputs of a function of a cell, in their order.
pub(super) fn arguments<'a, const N: usize>(kinds: [Four<'a>; N]) -> Vec<&'a [f32]> {
    kinds.into_iter().flatten().collect()
}
