//! The definition of a cell, and its functions.

use super::norm::Norms;
use crate::expr::Function;
use std::sync::Arc;

/// What one hidden unit computes in one frame. Clones share the definition.
///
/// # What its functions take
/// Names are a letter and an index; a cell has those that it declares, in this order.
/// - `x0`.. the projections of the input, W x and its bias, a number a gate ([`gates`](Self::gates)),
/// - `r0`.. the products of the recurrent weight with h, and their bias ([`recurrent`](Self::recurrent)); the last
///   [`second`](Self::second) of them are products with [`mid`](Self::mid) instead,
/// - `s0`.. the states before the frame, h first ([`states`](Self::states)),
/// - `p0`.. what each unit learns besides ([`params`](Self::params)),
/// - `m0`.. factors for each sequence and unit, the same in all frames ([`masks`](Self::masks)); 1 where there is no dropout.
///
/// There are at most [`MOST`](Self::MOST) of each.
#[derive(Clone, Debug)]
pub struct Cell(pub(super) Arc<Definition>);

#[derive(Debug)]
pub(super) struct Definition {
    pub name: String,
    pub gates: Vec<String>,
    pub recurrent: Vec<String>,
    pub second: usize,
    pub states: Vec<String>,
    pub params: Vec<String>,
    pub masks: Vec<String>,
    pub norms: Norms,
    pub update: Pair,
    pub mid: Option<Pair>,
    pub output: Option<Pair>,
}

/// A function and its derivative by everything but the masks.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The function.
    pub function: Function,
    /// Its derivative. After the inputs of the function it takes `d_` and the name of each output; it gives `d_` and the name of
    /// each input that is no mask.
    pub gradient: Function,
}

impl Cell {
    /// Gates, recurrent rows, states, parameters and masks a cell can have, each: what a vector of the shaders holds.
    pub const MOST: usize = 4;

    /// Name, for people.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Gates of the input projection, in the order of their rows in `weight_ih` \[gates H, I].
    pub fn gates(&self) -> &[String] {
        &self.0.gates
    }

    /// Gates of the recurrent product, in the order of their rows in `weight_hh` \[recurrent H, H]. None: units do not see each
    /// other within a layer.
    pub fn recurrent(&self) -> &[String] {
        &self.0.recurrent
    }

    /// How many of the recurrent rows, the last ones, are multiplied with [`mid`](Self::mid), not h.
    pub fn second(&self) -> usize {
        self.0.second
    }

    /// States that a sequence carries from frame to frame; h is the first.
    pub fn states(&self) -> &[String] {
        &self.0.states
    }

    /// Vectors \[H] of weights besides the matrices and biases.
    pub fn params(&self) -> &[String] {
        &self.0.params
    }

    /// Factors for each sequence and unit.
    pub fn masks(&self) -> &[String] {
        &self.0.masks
    }

    /// Layer normalisations, which the tier applies.
    pub fn norms(&self) -> &Norms {
        &self.0.norms
    }

    /// The new states, of x, r, s, p, m. In a cell with [`output`](Self::output) the first, h, is 0 here.
    pub fn update(&self) -> &Function {
        &self.0.update.function
    }

    /// The derivative of [`update`](Self::update): takes x, r, s, p, m and a gradient for each new state, gives those of x, r, s, p.
    pub fn update_gradient(&self) -> &Function {
        &self.0.update.gradient
    }

    /// What the second product multiplies, of x, r, s, p, m. The rows of the second product are 0 then.
    pub fn mid(&self) -> Option<&Pair> {
        self.0.mid.as_ref()
    }

    /// h, of x, r, s, p, m and `n`. Here s are the new states, with 0 for h, and n is the normalised state that
    /// [`norms`](Self::norms) names. `d_s` of its gradient adds to the gradient of the new states before
    /// [`update_gradient`](Self::update_gradient) takes it, and so does `d_n` once it went back through the normalisation.
    pub fn output(&self) -> Option<&Pair> {
        self.0.output.as_ref()
    }
}
