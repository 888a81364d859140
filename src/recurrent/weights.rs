//! Weights of a layer on their way in: from slices, or from a file.

use super::cell::CellKind;
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Weights of one layer, row-major, as PyTorch has them; G is 4 for an LSTM (rows i, f, g, o), 3 for a
/// GRU (rows r, z, n).
#[derive(Clone, Copy, Debug)]
pub struct CellWeights<'a> {
    /// I, at least 1.
    pub input_size: usize,
    /// H, at least 1.
    pub hidden_size: usize,
    /// [G H, I]
    pub weight_ih: &'a [f32],
    /// [G H, H]
    pub weight_hh: &'a [f32],
    /// bias_ih and bias_hh, each [G H], or none.
    pub bias: Option<(&'a [f32], &'a [f32])>,
}

impl CellWeights<'_> {
    /// Compares every slice with the sizes.
    pub(super) fn check(&self, kind: CellKind) -> Result<()> {
        let (inputs, hidden) = (self.input_size, self.hidden_size);
        for (argument, size) in [("input_size", inputs), ("hidden_size", hidden)] {
            if size == 0 {
                return Err(Error::Value { argument, value: "0".to_owned(), help: "a layer needs at least 1" });
            }
        }
        let rows = kind.gates.saturating_mul(hidden);
        let check = |argument, slice: &[f32], columns: Option<usize>| {
            if slice.len() == rows.saturating_mul(columns.unwrap_or(1)) {
                return Ok(());
            }
            let gates = kind.gates;
            let shape = columns.map_or(format!("[{rows}]"), |columns| format!("[{rows}, {columns}]"));
            let expected = format!("{shape} ({} gates of hidden_size {hidden}, input_size {inputs}: {})", gates, kind.name);
            Err(Error::Shape { argument, expected, got: format!("{} elements", slice.len()) })
        };
        check("weight_ih", self.weight_ih, Some(inputs))?;
        check("weight_hh", self.weight_hh, Some(hidden))?;
        if let Some((bias_ih, bias_hh)) = self.bias {
            check("bias_ih", bias_ih, None)?;
            check("bias_hh", bias_hh, None)?;
        }
        Ok(())
    }
}

/// [`CellWeights`] that own their memory.
pub(super) struct LoadedWeights {
    input_size: usize,
    hidden_size: usize,
    weight_ih: Vec<f32>,
    weight_hh: Vec<f32>,
    bias: Option<(Vec<f32>, Vec<f32>)>,
}

impl LoadedWeights {
    /// Reads `PREFIX.weight_ih`, `PREFIX.weight_hh` and, both or neither, `PREFIX.bias_ih` and
    /// `PREFIX.bias_hh`; where those are missing, the names with PyTorch's suffix `_l0`. The sizes are
    /// those of the file.
    pub(super) fn read(weights: &Weights, prefix: &str, kind: CellKind) -> Result<Self> {
        let plain = |part: &str| if prefix.is_empty() { part.to_owned() } else { format!("{prefix}.{part}") };
        let suffix =
            if weights.shape(&plain("weight_hh")).is_none() && weights.shape(&plain("weight_hh_l0")).is_some() { "_l0" } else { "" };
        let name = |part: &str| plain(part) + suffix;
        let matrix = |part: &str| -> Result<([usize; 2], Vec<f32>)> {
            let name = name(part);
            let data = weights.get(&name)?;
            match weights.shape(&name) {
                Some(&[rows, columns]) => Ok(([rows, columns], data)),
                other => Err(weights.fault(&name, format!("has shape {:?}, expected two sides", other.unwrap_or_default()))),
            }
        };
        let ([rows, hidden_size], weight_hh) = matrix("weight_hh")?;
        if hidden_size == 0 || rows != kind.gates.saturating_mul(hidden_size) {
            let problem =
                format!("has shape [{rows}, {hidden_size}], expected [{} H, H] for a {} of H units, H at least 1", kind.gates, kind.name);
            return Err(weights.fault(&name("weight_hh"), problem));
        }
        let ([ih_rows, input_size], weight_ih) = matrix("weight_ih")?;
        if input_size == 0 || ih_rows != rows {
            let problem = format!(
                "has shape [{ih_rows}, {input_size}], expected [{rows}, I] beside {} of [{rows}, {hidden_size}], I at least 1",
                name("weight_hh")
            );
            return Err(weights.fault(&name("weight_ih"), problem));
        }
        let [bias_ih, bias_hh] = [name("bias_ih"), name("bias_hh")];
        let bias = match (weights.shape(&bias_ih), weights.shape(&bias_hh)) {
            (None, None) => None,
            _ => Some((weights.get_shaped(&bias_ih, &[rows])?, weights.get_shaped(&bias_hh, &[rows])?)),
        };
        Ok(Self { input_size, hidden_size, weight_ih, weight_hh, bias })
    }

    pub(super) fn borrow(&self) -> CellWeights<'_> {
        CellWeights {
            input_size: self.input_size,
            hidden_size: self.hidden_size,
            weight_ih: &self.weight_ih,
            weight_hh: &self.weight_hh,
            bias: self.bias.as_ref().map(|(ih, hh)| (&**ih, &**hh)),
        }
    }
}
