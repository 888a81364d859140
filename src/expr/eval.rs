//! One unit at a time, in f64: what finite differences and oracles are compared with.

use super::Function;
use super::graph::{Binary, Id, Node, Unary};
use super::math::EXP_MAX;
use std::ops::{Add, Div, Mul, Sub};

impl Function {
    /// The outputs of one unit, in f64.
    ///
    /// `inputs` are in the order of [`inputs`](Self::inputs); one that is not given is 0, and further ones are not read.
    pub fn eval(&self, inputs: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> = Vec::with_capacity(self.nodes.len());
        for &node in &self.nodes {
            let at = |id: Id| values[id as usize];
            let value = match node {
                Node::Input(index) => inputs.get(index as usize).copied().unwrap_or_default(),
                Node::Constant(bits) => f64::from(f32::from_bits(bits)),
                Node::Unary(op, a) => unary(op, at(a)),
                Node::Binary(op, a, b) => binary(op, at(a), at(b)),
                Node::Select([a, b, x, y]) => at(if at(a) < at(b) { x } else { y }),
            };
            values.push(value);
        }
        self.results.iter().map(|&id| values[id as usize]).collect()
    }
}

fn unary(op: Unary, x: f64) -> f64 {
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    match op {
        Unary::Neg => -x,
        Unary::Exp => x.min(f64::from(EXP_MAX)).exp(),
        Unary::Log => x.max(f64::from(f32::MIN_POSITIVE)).ln(),
        Unary::Sqrt => x.max(0.0).sqrt(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => (-softplus(-x)).exp(),
        Unary::Softplus => softplus(x),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Abs => x.abs(),
        Unary::Sign if x == 0.0 => 0.0,
        Unary::Sign => x.signum(),
    }
}

/// A function of two arguments, in any float.
#[inline(always)]
pub(super) fn binary<T>(op: Binary, a: T, b: T) -> T
where
    T: Copy + PartialOrd + Add<Output = T> + Sub<Output = T> + Mul<Output = T> + Div<Output = T>,
{
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Min if b < a => b,
        Binary::Max if a < b => b,
        Binary::Min | Binary::Max => a,
    }
}
