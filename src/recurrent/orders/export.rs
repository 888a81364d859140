//! Into the order of another library.

use super::blocks::{to_theirs, transposed};
use super::format::{Bias, Format, Gated, Order};
use super::host::{HostWeights, NormWeights};
use crate::error::{Error, Result};

/// A tensor with its name, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedArray {
    /// The library's own name.
    pub name: String,
    /// Sides, outermost first.
    pub shape: Vec<usize>,
    /// As many elements as the sides say.
    pub data: Vec<f32>,
}

/// The arrays of one layer as another library has them: the inverse of [`import`](super::import). `layer` has one
/// [`HostWeights`] for each direction; orders that keep directions in arrays of their own (all but PyTorch's, ONNX and
/// WebNN) take one.
///
/// Where the library has one bias, it gets the sum of both.
///
/// # Errors
/// [`Error::Value`] if the library has no such cell or no place for a part of it, [`Error::Shape`] if an array has not the size
/// that `input_size` and `hidden_size` ask for.
pub fn export(layer: &[HostWeights], order: Order, cell: Gated) -> Result<Vec<NamedArray>> {
    let format = order.format(cell)?;
    let most = if format.directions || matches!(order, Order::PyTorch { .. }) { 2 } else { 1 };
    if layer.is_empty() || layer.len() > most {
        let help = "this order takes one direction at a time, PyTorch, ONNX and WebNN one or two";
        return Err(Error::Value {
            argument: "layer",
            value: format!("{} directions in the order of {}", layer.len(), order.name()),
            help,
        });
    }
    let mut all: Vec<NamedArray> = Vec::new();
    for (direction, weights) in layer.iter().enumerate() {
        check(weights, cell)?;
        for mut array in arrays(weights, &format, order, cell)? {
            array.name += &order.suffix(direction);
            if !format.directions {
                all.push(array);
                continue;
            }
            match all.iter_mut().find(|first| first.name == array.name) {
                Some(first) if first.shape[1..] == array.shape => {
                    first.shape[0] += 1;
                    first.data.extend(array.data);
                }
                None if direction == 0 => {
                    array.shape.insert(0, 1);
                    all.push(array);
                }
                found => {
                    let expected = found.map_or("as in the first direction, none".to_owned(), |first| format!("{:?}", &first.shape[1..]));
                    return Err(Error::Shape { argument: "layer", expected, got: format!("{} {:?}", array.name, array.shape) });
                }
            }
        }
    }
    match all.iter().find(|array| format.directions && array.shape[0] != layer.len()) {
        Some(array) => Err(Error::Shape {
            argument: "layer",
            expected: format!("{} in both directions", array.name),
            got: "it in the first only".to_owned(),
        }),
        None => Ok(all),
    }
}

/// Compares every array with the sizes.
fn check(weights: &HostWeights, cell: Gated) -> Result<()> {
    let (inputs, hidden) = (weights.input_size, weights.hidden_size);
    let rows = cell.gates() * hidden;
    let sized = |argument, data: &[f32], shape: &[usize]| {
        if data.len() == shape.iter().product::<usize>() {
            return Ok(());
        }
        Err(Error::Shape { argument, expected: format!("{shape:?} ({cell:?})"), got: format!("{} elements", data.len()) })
    };
    let outputs = weights.weight_hr.as_ref().map_or(hidden, |weight| weight.len() / hidden.max(1));
    sized("weight_ih", &weights.weight_ih, &[rows, inputs])?;
    sized("weight_hh", &weights.weight_hh, &[rows, outputs])?;
    if let Some(weight) = &weights.weight_hr {
        sized("weight_hr", weight, &[outputs, hidden])?;
    }
    for bias in weights.bias.iter().flatten() {
        sized("bias", bias, &[rows])?;
    }
    for peephole in weights.peepholes.iter().flatten() {
        sized("peepholes", peephole, &[hidden])?;
    }
    for norm in weights.norm_ih.iter().chain(&weights.norm_hh) {
        for data in [&norm.weight, &norm.bias].into_iter().chain(norm.running.iter().flatten()) {
            sized("norm", data, &[rows])?;
        }
    }
    Ok(())
}

/// The arrays of one direction, by names without suffix.
fn arrays(weights: &HostWeights, format: &Format, order: Order, cell: Gated) -> Result<Vec<NamedArray>> {
    let (inputs, hidden) = (weights.input_size, weights.hidden_size);
    let rows = format.blocks.len() * hidden;
    let array = |name: &str, shape: &[usize], data: Vec<f32>| NamedArray { name: name.to_owned(), shape: shape.to_vec(), data };
    let matrix = |name: &str, data: &[f32]| {
        let theirs = to_theirs(data, format.blocks);
        let columns = theirs.len() / rows;
        if format.transposed { array(name, &[columns, rows], transposed(&theirs, columns)) } else { array(name, &[rows, columns], theirs) }
    };
    let missing =
        |value: &str, help| Error::Value { argument: "order", value: format!("{} of a {cell:?} with {value}", order.name()), help };
    if hidden == 0 || inputs == 0 {
        return Err(Error::Value { argument: "hidden_size and input_size", value: "0".to_owned(), help: "a layer needs at least 1" });
    }

    let mut all = Vec::new();
    match format.recurrent {
        Some(recurrent) => all.extend([matrix(format.weight, &weights.weight_ih), matrix(recurrent, &weights.weight_hh)]),
        None => {
            let [ih, hh] = [matrix("", &weights.weight_ih), matrix("", &weights.weight_hh)];
            all.push(array(format.weight, &[inputs + hidden, rows], [ih.data, hh.data].concat()));
        }
    }
    if let Some(weight) = &weights.weight_hr {
        let name = format.projection.ok_or_else(|| missing("a projection", "it has no projection: only PyTorch's order has"))?;
        all.push(array(name, &[weight.len() / hidden, hidden], weight.clone()));
    }
    if let Some([ih, hh]) = &weights.bias {
        let [ih, hh] = [ih, hh].map(|bias| to_theirs(bias, format.blocks));
        match format.bias {
            Bias::Two(first, second) => all.extend([array(first, &[rows], ih), array(second, &[rows], hh)]),
            Bias::Joined(name) => all.push(array(name, &[2 * rows], [ih, hh].concat())),
            Bias::Pair(name) => all.push(array(name, &[2, rows], [ih, hh].concat())),
            Bias::One(name) => {
                let forget = |row: usize| if format.blocks[row / hidden] == 1 { format.forget_bias } else { 0.0 };
                let sum = ih.iter().zip(hh).enumerate().map(|(row, (a, b))| a + b - forget(row)).collect();
                all.push(array(name, &[rows], sum));
            }
            Bias::None => return Err(missing("biases", "it has no biases but those of norms")),
        }
    } else if format.recurrent.is_none() {
        return Err(missing("no bias", "it always has one: give zeros"));
    }
    if let Some([i, f, o]) = &weights.peepholes {
        let name = format.peepholes.ok_or_else(|| missing("peepholes", "it has no peepholes: ONNX and WebNN have"))?;
        all.push(array(name, &[3 * hidden], [&i[..], o, f].concat()));
    }
    for (part, norm) in [("norm", &weights.norm_ih), ("layer_norm", &weights.norm_hh)] {
        let Some(NormWeights { weight, bias, running }) = norm else { continue };
        if !format.norms {
            return Err(missing("norms", "it has no norms: SpeechBrain's order has"));
        }
        let named = [("weight", weight), ("bias", bias)].into_iter();
        let named = named.chain(running.iter().flat_map(|[mean, variance]| [("running_mean", mean), ("running_var", variance)]));
        all.extend(named.map(|(name, data)| array(&format!("{part}.{name}"), &[rows], to_theirs(data, format.blocks))));
    }
    Ok(all)
}
