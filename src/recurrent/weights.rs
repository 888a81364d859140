//! Weights of a layer on their way in: from slices, or from a file.

use super::cells::InputNorm;
use super::{Cell, Layer};
use crate::device::Context;
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Weights of one layer, row-major, as PyTorch has them. X are the gates of the cell's input projection, R the rows of its
/// recurrent product: 4 and 4 for an LSTM (i, f, g, o), 3 and 3 for a GRU (r, z, n). `weft::recurrent::orders` brings those of
/// other libraries into this order.
#[derive(Clone, Copy, Debug)]
pub struct LayerWeights<'a> {
    /// I, at least 1.
    pub input_size: usize,
    /// H, at least 1.
    pub hidden_size: usize,
    /// [X H, I]
    pub weight_ih: &'a [f32],
    /// [R H, H]; less columns where units are [of heads](super::Layer::block_diagonal), or h is [projected](super::Layer::projected).
    pub weight_hh: &'a [f32],
    /// bias_ih [X H] and bias_hh [R H], or none.
    pub bias: Option<(&'a [f32], &'a [f32])>,
    /// By name and in this order: the cell's parameters, \[H] each ([`Cell::params`]); then what its
    /// [norms](Cell::norms) have:
    /// - that of W x: `norm_ih.weight` and `norm_ih.bias` \[X H], as it has gain and bias; of a batch norm also
    ///   `norm_ih.running_mean` and `norm_ih.running_var` \[X H];
    /// - that of the recurrent product: `norm_hh.weight` and `norm_hh.bias` \[R H];
    /// - that of a state, such as c: `norm_c.weight` and `norm_c.bias` \[H].
    ///
    /// The biases of the first two stand beside those of the layer; a layer keeps their sum.
    pub parameters: &'a [(&'a str, &'a [f32])],
}

impl LayerWeights<'_> {
    /// What `parameters` of a layer of such cells are: names in their order, and how many vectors of H numbers each is.
    pub fn parameters_of(cell: &Cell) -> Vec<(String, usize)> {
        let mut all: Vec<(String, usize)> = cell.params().iter().map(|name| (name.clone(), 1)).collect();
        let mut add = |norm: &str, [gain, bias]: [bool; 2], vectors: usize| {
            let parts = [("weight", gain), ("bias", bias)];
            all.extend(parts.iter().filter(|(_, is)| *is).map(|(part, _)| (format!("norm_{norm}.{part}"), vectors)));
        };
        let norms = cell.norms();
        let [gates, rows] = [cell.gates().len(), cell.recurrent().len()];
        if let Some(norm) = norms.input {
            add("ih", norm.affine(), gates);
        }
        if let Some(norm) = norms.recurrent {
            add("hh", [norm.gain, norm.bias], rows);
        }
        if let Some((state, norm)) = norms.state {
            add(cell.states().get(state).map_or("", String::as_str), [norm.gain, norm.bias], 1);
        }
        if let Some(InputNorm::Batch(_)) = norms.input {
            let place = all.iter().position(|(name, _)| name.starts_with("norm_") && !name.starts_with("norm_ih")).unwrap_or(all.len());
            all.splice(place..place, [("norm_ih.running_mean".to_owned(), gates), ("norm_ih.running_var".to_owned(), gates)]);
        }
        all
    }

    /// Compares every slice with the sizes. `hh_columns` are those of `weight_hh`.
    pub(super) fn check(&self, cell: &Cell, hh_columns: usize) -> Result<()> {
        let (inputs, hidden) = (self.input_size, self.hidden_size);
        for (argument, size) in [("input_size", inputs), ("hidden_size", hidden)] {
            if size == 0 {
                return Err(Error::Value { argument, value: "0".to_owned(), help: "a layer needs at least 1" });
            }
        }
        let check = |argument, slice: &[f32], vectors: usize, columns: Option<usize>| {
            let rows = vectors.saturating_mul(hidden);
            if slice.len() == rows.saturating_mul(columns.unwrap_or(1)) {
                return Ok(());
            }
            let shape = columns.map_or(format!("[{rows}]"), |columns| format!("[{rows}, {columns}]"));
            let expected = format!("{shape} ({vectors} times hidden_size {hidden}, input_size {inputs}: {})", cell.name());
            Err(Error::Shape { argument, expected, got: format!("{} elements", slice.len()) })
        };
        let [gates, rows] = [cell.gates().len(), cell.recurrent().len()];
        check("weight_ih", self.weight_ih, gates, Some(inputs))?;
        check("weight_hh", self.weight_hh, rows, Some(hh_columns))?;
        if let Some((bias_ih, bias_hh)) = self.bias {
            check("bias_ih", bias_ih, gates, None)?;
            check("bias_hh", bias_hh, rows, None)?;
        }
        let expected = Self::parameters_of(cell);
        let given = || self.parameters.iter().map(|&(name, _)| name);
        if !given().eq(expected.iter().map(|(name, _)| &**name)) {
            let names: Vec<&str> = expected.iter().map(|(name, _)| &**name).collect();
            let expected = format!("{names:?}, in that order ({})", cell.name());
            return Err(Error::Shape { argument: "parameters", expected, got: format!("{:?}", given().collect::<Vec<_>>()) });
        }
        for ((name, values), (_, vectors)) in self.parameters.iter().zip(expected) {
            if values.len() != vectors * hidden {
                let expected = format!("{name} of [{}] ({vectors} times hidden_size {hidden}: {})", vectors * hidden, cell.name());
                return Err(Error::Shape { argument: "parameters", expected, got: format!("{} elements", values.len()) });
            }
        }
        Ok(())
    }

    /// The values of a parameter; empty if the cell has no such.
    pub(super) fn parameter(&self, name: &str) -> &[f32] {
        self.parameters.iter().find(|(known, _)| *known == name).map_or(&[], |&(_, values)| values)
    }
}

/// [`LayerWeights`] that own their memory.
pub(super) struct LoadedWeights {
    input_size: usize,
    hidden_size: usize,
    weight_ih: Vec<f32>,
    weight_hh: Vec<f32>,
    weight_hr: Option<Vec<f32>>,
    heads: usize,
    bias: Option<(Vec<f32>, Vec<f32>)>,
    parameters: Vec<(String, Vec<f32>)>,
}

impl LoadedWeights {
    /// Reads `PREFIX.weight_ih`, `PREFIX.weight_hh` and, both or neither, `PREFIX.bias_ih` and `PREFIX.bias_hh`, and what
    /// [`LayerWeights::parameters`] names; where those are missing, the names with PyTorch's suffix `_l0`. The sizes are those of the file.
    /// `weight_hr`, if there is one, is a projection.
    pub(super) fn read(weights: &Weights, prefix: &str, cell: &Cell, suffix: Option<&str>, heads: usize) -> Result<Self> {
        let plain = |part: &str| if prefix.is_empty() { part.to_owned() } else { format!("{prefix}.{part}") };
        let has = |part: &str| weights.shape(&plain(part)).is_some();
        let suffix = suffix.unwrap_or(if !has("weight_ih") && has("weight_ih_l0") { "_l0" } else { "" });
        let name = |part: &str| plain(part) + suffix;
        let matrix = |part: &str| -> Result<([usize; 2], Vec<f32>)> {
            let name = name(part);
            let data = weights.get(&name)?;
            match weights.shape(&name) {
                Some(&[rows, columns]) => Ok(([rows, columns], data)),
                other => Err(weights.fault(&name, format!("has shape {:?}, expected two sides", other.unwrap_or_default()))),
            }
        };
        let [gates, rows] = [cell.gates().len(), cell.recurrent().len()];
        let projection = weights.shape(&name("weight_hr")).is_some().then(|| matrix("weight_hr")).transpose()?;
        // The sides of the first matrix are those of the layer.
        let (hidden_size, weight_hh) = match rows {
            0 => (None, Vec::new()),
            _ => {
                let ([have, columns], weight_hh) = matrix("weight_hh")?;
                let ([outputs, hidden], letters) = match &projection {
                    Some((sides, _)) => (*sides, "P"),
                    None if heads > 1 => ([columns, columns.saturating_mul(heads)], "H / heads"),
                    None => ([columns; 2], "H"),
                };
                if hidden == 0 || columns != outputs || have != rows.saturating_mul(hidden) {
                    let of = format!("{} of H units, H at least 1", cell.name());
                    let problem = format!("has shape [{have}, {columns}], expected [{rows} H, {letters}] for a {of}");
                    return Err(weights.fault(&name("weight_hh"), problem));
                }
                (Some(hidden), weight_hh)
            }
        };
        let ([have, input_size], weight_ih) = matrix("weight_ih")?;
        let hidden_size = hidden_size.unwrap_or(have / gates.max(1));
        if input_size == 0 || hidden_size == 0 || have != gates * hidden_size {
            let problem = format!("has shape [{have}, {input_size}], expected [{gates} H, I] for a {} of {hidden_size} units", cell.name());
            return Err(weights.fault(&name("weight_ih"), problem));
        }
        let [bias_ih, bias_hh] = [name("bias_ih"), name("bias_hh")];
        let bias = match (weights.shape(&bias_ih), weights.shape(&bias_hh)) {
            (None, None) => None,
            _ => {
                let bias_hh = if rows == 0 { Vec::new() } else { weights.get_shaped(&bias_hh, &[rows * hidden_size])? };
                Some((weights.get_shaped(&bias_ih, &[gates * hidden_size])?, bias_hh))
            }
        };
        let parameter = |(part, vectors): (String, usize)| {
            let values = weights.get_shaped(&name(&part), &[vectors * hidden_size])?;
            Ok((part, values))
        };
        let parameters = LayerWeights::parameters_of(cell).into_iter().map(parameter).collect::<Result<_>>()?;
        let weight_hr = projection.map(|(_, weight)| weight);
        Ok(Self { input_size, hidden_size, weight_ih, weight_hh, weight_hr, heads, bias, parameters })
    }

    /// The layer that they make.
    pub(super) fn layer(&self, context: &Context, cell: &Cell) -> Result<Layer> {
        let parameters: Vec<(&str, &[f32])> = self.parameters.iter().map(|(name, values)| (&**name, &**values)).collect();
        let weights = LayerWeights {
            input_size: self.input_size,
            hidden_size: self.hidden_size,
            weight_ih: &self.weight_ih,
            weight_hh: &self.weight_hh,
            bias: self.bias.as_ref().map(|(ih, hh)| (&**ih, &**hh)),
            parameters: &parameters,
        };
        match &self.weight_hr {
            Some(weight_hr) => Layer::projected(context, cell, &weights, weight_hr),
            None if self.heads > 1 => Layer::block_diagonal(context, cell, &weights, self.heads),
            None => Layer::new(context, cell, &weights),
        }
    }
}
