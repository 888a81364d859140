//! Weights in memory of the host.

use crate::error::{Error, Result, number};

/// One direction of one layer, row-major, in the order of this crate, which is PyTorch's. G is the number of gates, P the
/// size of h: H, unless there is a projection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostWeights {
    /// I
    pub input_size: usize,
    /// H
    pub hidden_size: usize,
    /// [G H, I]
    pub weight_ih: Vec<f32>,
    /// [G H, P]
    pub weight_hh: Vec<f32>,
    /// bias_ih and bias_hh, each [G H]. Where another library has one bias, it is the first, and the second is zero.
    pub bias: Option<[Vec<f32>; 2]>,
    /// The projection [P, H].
    pub weight_hr: Option<Vec<f32>>,
    /// Weights of the cell state in the gates i, f and o, each \[H].
    pub peepholes: Option<[Vec<f32>; 3]>,
    /// The norm of W x.
    pub norm_ih: Option<NormWeights>,
    /// The norm of R h.
    pub norm_hh: Option<NormWeights>,
}

/// A layer norm or batch norm over [G H].
#[derive(Clone, Debug, PartialEq)]
pub struct NormWeights {
    /// Factors.
    pub weight: Vec<f32>,
    /// What is added.
    pub bias: Vec<f32>,
    /// Running mean and variance of a batch norm.
    pub running: Option<[Vec<f32>; 2]>,
}

impl HostWeights {
    /// Looks at every number.
    ///
    /// # Errors
    /// [`Error::Value`] with the array and the place of the first number that is infinite or NaN, or a negative variance.
    pub fn check_finite(&self) -> Result<()> {
        let matrices = [("weight_ih", &self.weight_ih), ("weight_hh", &self.weight_hh)].into_iter();
        let biases = self.bias.iter().flat_map(|[ih, hh]| [("bias_ih", ih), ("bias_hh", hh)]);
        let peepholes = self.peepholes.iter().flat_map(|[i, f, o]| [("weight_ci", i), ("weight_cf", f), ("weight_co", o)]);
        let all = matrices.chain(biases).chain(self.weight_hr.iter().map(|weight| ("weight_hr", weight))).chain(peepholes);
        for (argument, data) in all {
            check(argument, data, f32::is_finite)?;
        }
        for norm in self.norm_ih.iter().chain(&self.norm_hh) {
            check("weight of a norm", &norm.weight, f32::is_finite)?;
            check("bias of a norm", &norm.bias, f32::is_finite)?;
            if let Some([mean, variance]) = &norm.running {
                check("running mean", mean, f32::is_finite)?;
                check("running variance", variance, |x| x.is_finite() && x >= 0.0)?;
            }
        }
        Ok(())
    }
}

fn check(argument: &'static str, data: &[f32], good: impl Fn(f32) -> bool) -> Result<()> {
    match data.iter().position(|&x| !good(x)) {
        None => Ok(()),
        Some(place) => Err(Error::Value {
            argument,
            value: format!("{} at element {place} of {}", number(data[place]), data.len()),
            help: "the file is damaged, or its training diverged",
        }),
    }
}
