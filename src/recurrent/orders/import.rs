//! From the order of another library.

use super::blocks::{to_ours, transposed};
use super::format::{Bias, Format, Gated, Order};
use super::host::{HostWeights, NormWeights};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Reads one layer of another library, and gives a [`HostWeights`] for each of its directions.
///
/// `name` makes the name in the file from the library's own (the table in [`orders`](super)): `|part| format!("encoder.{part}")`. Sizes
/// are those of the file. Biases, peepholes and norms are read where the file has them; tensors that the order
/// does not name are left alone. In PyTorch's order the second direction is that of `_reverse`, where it is there.
///
/// # Errors
/// [`Error::Value`] if the library has no such cell, [`Error::Weights`] with the name of the tensor, what was expected of it and
/// what it is: missing, of another shape, a bias without the other one.
pub fn import(weights: &Weights, name: impl Fn(&str) -> String, order: Order, cell: Gated) -> Result<Vec<HostWeights>> {
    let mut reader = Reader { weights, name: &name, order, format: order.format(cell)?, cell, directions: 1 };
    let weight = reader.format.weight;
    if reader.format.directions {
        reader.weights.get(&reader.full(weight, 0))?;
        reader.directions = reader.weights.shape(&reader.full(weight, 0)).and_then(|shape| shape.first().copied()).unwrap_or_default();
        if !matches!(reader.directions, 1 | 2) {
            return Err(reader.mistaken(weight, 0, &format!("{} H, I", reader.format.blocks.len())));
        }
    } else if matches!(order, Order::PyTorch { .. }) && reader.has(weight, 1) {
        reader.directions = 2;
    }
    (0..reader.directions).map(|direction| reader.read(direction)).collect()
}

struct Reader<'a> {
    weights: &'a Weights,
    name: &'a dyn Fn(&str) -> String,
    order: Order,
    format: Format,
    cell: Gated,
    /// D
    directions: usize,
}

impl Reader<'_> {
    fn full(&self, part: &str, direction: usize) -> String {
        (self.name)(&(part.to_owned() + &self.order.suffix(direction)))
    }

    fn has(&self, part: &str, direction: usize) -> bool {
        self.weights.shape(&self.full(part, direction)).is_some()
    }

    /// An array of one direction, and its sides. `expected` is for the message if it has another number of sides.
    fn array<const SIDES: usize>(&self, part: &str, direction: usize, expected: &str) -> Result<([usize; SIDES], Vec<f32>)> {
        let name = self.full(part, direction);
        let mut data = self.weights.get(&name)?;
        let shape = self.weights.shape(&name).unwrap_or_default();
        let mut own = shape;
        if self.format.directions {
            let [count, rest @ ..] = shape else { return Err(self.mistaken(part, direction, expected)) };
            let size = rest.iter().product();
            if *count != self.directions {
                return Err(self.mistaken(part, direction, expected));
            }
            data = data[direction * size..][..size].to_vec();
            own = rest;
        }
        own.try_into().map(|sides| (sides, data)).map_err(|_| self.mistaken(part, direction, expected))
    }

    /// A tensor has another shape than it must have.
    fn mistaken(&self, part: &str, direction: usize, expected: &str) -> Error {
        let name = self.full(part, direction);
        let shape = self.weights.shape(&name).unwrap_or_default();
        let lead = match self.directions {
            _ if !self.format.directions => String::new(),
            count @ (1 | 2) => format!("{count}, "),
            _ => "1 or 2, ".to_owned(),
        };
        let (order, cell, letters) = (self.order.name(), self.cell, self.format.letters);
        let problem = format!("has shape {shape:?}, expected [{lead}{expected}] ({order}, {cell:?}, gates {letters})");
        self.weights.fault(&name, problem)
    }

    /// [G H, C] of ours, from a matrix of which one side has the gates; and C.
    fn matrix(&self, part: &str, direction: usize, sides: [&str; 2]) -> Result<(usize, Vec<f32>)> {
        let [gates, columns] = sides;
        let expected = if self.format.transposed { format!("{columns}, {gates}") } else { format!("{gates}, {columns}") };
        let ([first, second], data) = self.array(part, direction, &expected)?;
        let (rows, columns) = if self.format.transposed { (second, first) } else { (first, second) };
        if columns == 0 || rows == 0 || rows % self.format.blocks.len() != 0 {
            return Err(self.mistaken(part, direction, &expected));
        }
        let by_rows = if self.format.transposed { transposed(&data, rows) } else { data };
        Ok((columns, to_ours(&by_rows, self.format.blocks)))
    }

    /// A vector of exactly this many numbers.
    fn vector(&self, part: &str, direction: usize, count: usize) -> Result<Vec<f32>> {
        match self.array(part, direction, &count.to_string())? {
            ([found], data) if found == count => Ok(data),
            _ => Err(self.mistaken(part, direction, &count.to_string())),
        }
    }

    fn read(&self, direction: usize) -> Result<HostWeights> {
        let (gates, theirs) = (self.cell.gates(), self.format.blocks.len());
        let (weight, rows_name) = (self.format.weight, format!("{theirs} H"));
        let (input_size, outputs, weight_ih, weight_hh) = match self.format.recurrent {
            Some(recurrent) => {
                let (outputs, weight_hh) = self.matrix(recurrent, direction, [&rows_name, "H"])?;
                let (input_size, weight_ih) = self.matrix(weight, direction, [&rows_name, "I"])?;
                (input_size, outputs, weight_ih, weight_hh)
            }
            None => {
                let (columns, both) = self.matrix(weight, direction, [&rows_name, "I + H"])?;
                let hidden = both.len() / columns / gates;
                let Some(input_size) = columns.checked_sub(hidden).filter(|&size| size > 0) else {
                    return Err(self.mistaken(weight, direction, &format!("I + H, {rows_name}")));
                };
                let part =
                    |range: std::ops::Range<usize>| both.chunks_exact(columns).flat_map(|row| &row[range.clone()]).copied().collect();
                (input_size, hidden, part(0..input_size), part(input_size..columns))
            }
        };
        let hidden_size = weight_hh.len() / outputs / gates;
        let rows = theirs * hidden_size;
        if weight_ih.len() != gates * hidden_size * input_size {
            let sides = if self.format.transposed { format!("I, {rows}") } else { format!("{rows}, I") };
            return Err(self.mistaken(weight, direction, &sides));
        }
        let weight_hr = match self.format.projection {
            Some(part) if self.has(part, direction) => match self.array(part, direction, &format!("{outputs}, {hidden_size}"))? {
                (sides, data) if sides == [outputs, hidden_size] => Some(data),
                _ => return Err(self.mistaken(part, direction, &format!("{outputs}, {hidden_size}"))),
            },
            _ => None,
        };
        if outputs != hidden_size && weight_hr.is_none() {
            let sides = if self.format.transposed { format!("{hidden_size}, {rows}") } else { format!("{rows}, {hidden_size}") };
            return Err(self.mistaken(self.format.recurrent.unwrap_or(weight), direction, &sides));
        }
        Ok(HostWeights {
            input_size,
            hidden_size,
            weight_ih,
            weight_hh,
            bias: self.bias(direction, hidden_size)?,
            weight_hr,
            peepholes: self.peepholes(direction, hidden_size)?,
            norm_ih: self.norm("norm", direction, rows)?,
            norm_hh: self.norm("layer_norm", direction, rows)?,
        })
    }

    fn bias(&self, direction: usize, hidden: usize) -> Result<Option<[Vec<f32>; 2]>> {
        let rows = self.format.blocks.len() * hidden;
        let ours = |theirs: &[f32]| to_ours(theirs, self.format.blocks);
        let both = match self.format.bias {
            Bias::Two(ih, hh) if self.has(ih, direction) || self.has(hh, direction) => {
                [ours(&self.vector(ih, direction, rows)?), ours(&self.vector(hh, direction, rows)?)]
            }
            Bias::Joined(part) if self.has(part, direction) => {
                let both = self.vector(part, direction, 2 * rows)?;
                [ours(&both[..rows]), ours(&both[rows..])]
            }
            Bias::Pair(part) if self.has(part, direction) => match self.array(part, direction, &format!("2, {rows}"))? {
                (sides, both) if sides == [2, rows] => [ours(&both[..rows]), ours(&both[rows..])],
                _ => return Err(self.mistaken(part, direction, &format!("2, {rows}"))),
            },
            // BasicLSTMCell has always one; the others may be without.
            Bias::One(part) if self.has(part, direction) || self.format.recurrent.is_none() => {
                let one = ours(&self.vector(part, direction, rows)?);
                let zeros = vec![0.0; one.len()];
                [one, zeros]
            }
            _ => return Ok(None),
        };
        let [mut ih, hh] = both;
        if self.format.forget_bias != 0.0 {
            ih[hidden..2 * hidden].iter_mut().for_each(|f| *f += self.format.forget_bias);
        }
        Ok(Some([ih, hh]))
    }

    fn peepholes(&self, direction: usize, hidden: usize) -> Result<Option<[Vec<f32>; 3]>> {
        let Some(part) = self.format.peepholes.filter(|part| self.has(part, direction)) else { return Ok(None) };
        let all = self.vector(part, direction, 3 * hidden)?;
        Ok(Some([0, 2, 1].map(|block| all[block * hidden..][..hidden].to_vec())))
    }

    fn norm(&self, part: &str, direction: usize, rows: usize) -> Result<Option<NormWeights>> {
        let [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(|name| format!("{part}.{name}"));
        if !self.format.norms || ![&weight, &bias, &mean, &variance].iter().any(|name| self.has(name, direction)) {
            return Ok(None);
        }
        let vector = |name: &str| Ok::<_, Error>(to_ours(&self.vector(name, direction, rows)?, self.format.blocks));
        let running = self.has(&mean, direction) || self.has(&variance, direction);
        let running = if running { Some([vector(&mean)?, vector(&variance)?]) } else { None };
        Ok(Some(NormWeights { weight: vector(&weight)?, bias: vector(&bias)?, running }))
    }
}
