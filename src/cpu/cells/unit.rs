//! Many units of one sequence at one frame, as the functions of a cell take them.

use crate::device::program::{Lanes, Program};
use std::ops::Range;

/// Vectors of each kind that a cell has.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub inputs: usize,
    pub rows: usize,
    pub second: usize,
    pub states: usize,
    pub parameters: usize,
    pub masks: usize,
    pub summed: bool,
}

impl Shape {
    pub(super) fn of(program: &Program) -> Self {
        let [inputs, rows, second, states, parameters, masks] =
            ["CELL_INPUTS", "CELL_ROWS", "CELL_SECOND", "CELL_STATES", "CELL_PARAMETERS", "CELL_MASKS"]
                .map(|name| program.constant(name) as usize);
        Self { inputs, rows, second, states, parameters, masks, summed: program.constant("CELL_SUMMED") != 0 }
    }

    /// Calls a derivative for `count` units; what the cell does not have stays 0.
    pub(super) fn gradient(self, derivative: &Lanes, arguments: &[&[f32]], count: usize) -> Gradient {
        let has = [self.inputs, self.rows, self.states, self.parameters];
        let mut values = vec![0.0f32; 17 * count];
        let lanes = values.chunks_exact_mut(count).enumerate();
        let is_there = |number: usize| has.get(number / 4).is_none_or(|&has| number % 4 < has);
        let mut used: Vec<&mut [f32]> = lanes.map(|(number, lane)| if is_there(number) { lane } else { &mut [] }).collect();
        derivative(arguments, &mut used);
        Gradient { values, count }
    }
}

/// What a derivative gives of some units: four lanes each of x, r, s and p; one of n.
pub(super) struct Gradient {
    values: Vec<f32>,
    count: usize,
}

impl Gradient {
    /// The first `many` lanes of a kind.
    pub(super) fn of(&self, kind: usize, many: usize) -> &[f32] {
        &self.values[kind * 4 * self.count..][..many * self.count]
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
