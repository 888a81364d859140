//! Nodes of the ONNX operators RNN, GRU and LSTM, and what they give.

use super::activation::Activation;
use super::cell::Cell;
use super::fixtures::{counts, list, wave};
use super::stack::{Direction, Stack};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

/// A node with its inputs and outputs by ONNX's names, orders and layouts.
pub struct OnnxCase {
    pub name: String,
    /// RNN, GRU or LSTM.
    pub operator: String,
    pub attributes: Value,
    pub inputs: BTreeMap<String, Array>,
    pub outputs: BTreeMap<String, Array>,
}

/// All of `recurrent_onnx.json`. They were computed in f32.
pub fn onnx_cases() -> Vec<OnnxCase> {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/recurrent_onnx.json")).unwrap();
    let array = |(name, value): (&String, &Value)| {
        let shape = counts(&value["shape"]);
        let data = if value["data"].is_null() { wave(name, shape.iter().product(), 1.0) } else { list(&value["data"]) };
        (name.clone(), Array { shape, data })
    };
    let arrays = |value: &Value| value.as_object().unwrap().iter().map(array).collect();
    let case = |case: &Value| OnnxCase {
        name: case["name"].as_str().unwrap().to_owned(),
        operator: case["operator"].as_str().unwrap().to_owned(),
        attributes: case["attributes"].clone(),
        inputs: arrays(&case["inputs"]),
        outputs: arrays(&case["outputs"]),
    };
    file["cases"].as_array().unwrap().iter().map(case).collect()
}

impl OnnxCase {
    fn batch_first(&self) -> bool {
        self.attributes["layout"] == 1
    }

    /// An array, with the first two sides exchanged where the node has the batch first.
    fn time_first(&self, array: &Array) -> Array {
        if !self.batch_first() {
            return array.clone();
        }
        let (a, b) = (array.shape[0], array.shape[1]);
        let width: usize = array.shape[2..].iter().product();
        let data = (0..b).flat_map(|j| (0..a).flat_map(move |i| (0..width).map(move |k| array.data[(i * b + j) * width + k]))).collect();
        Array { shape: [&[b, a], &array.shape[2..]].concat(), data }
    }

    /// What the activations of the node are: one direction's, since both have the same.
    pub fn activations(&self) -> Vec<Activation> {
        let numbers =
            |name: &str| self.attributes[name].as_array().map_or(Vec::new(), |list| list.clone()).into_iter().map(|x| x.as_f64().unwrap());
        let (mut alphas, mut betas) = (numbers("activation_alpha"), numbers("activation_beta"));
        let names = self.attributes["activations"].as_array().cloned().unwrap_or_default();
        names
            .iter()
            .map(|name| match name.as_str().unwrap() {
                "Tanh" => Activation::Tanh,
                "Sigmoid" => Activation::Sigmoid,
                "Relu" => Activation::Relu,
                "Affine" => Activation::Affine(alphas.next().unwrap_or(1.0), betas.next().unwrap_or(0.0)),
                "LeakyRelu" => Activation::LeakyRelu(alphas.next().unwrap_or(0.01)),
                "ThresholdedRelu" => Activation::ThresholdedRelu(alphas.next().unwrap_or(1.0)),
                "ScaledTanh" => Activation::ScaledTanh(alphas.next().unwrap(), betas.next().unwrap()),
                "HardSigmoid" => Activation::HardSigmoid(alphas.next().unwrap_or(0.2), betas.next().unwrap_or(0.5)),
                "Elu" => Activation::Elu(alphas.next().unwrap_or(1.0)),
                "Softsign" => Activation::Softsign,
                "Softplus" => Activation::Softplus,
                other => panic!("no {other}"),
            })
            .collect()
    }

    pub fn cell(&self) -> Cell {
        let attributes = &self.attributes;
        let plain = match &*self.operator {
            "RNN" => Cell::rnn(Activation::Tanh),
            "GRU" if attributes["linear_before_reset"] == 1 => Cell::gru(),
            "GRU" => Cell::gru_reset_before(),
            _ => Cell { peepholes: self.inputs.contains_key("P"), coupled: attributes["input_forget"] == 1, ..Cell::lstm() },
        };
        let plain = Cell { gate_clip: attributes["clip"].as_f64(), ..plain };
        match self.activations()[..] {
            [] => plain,
            [candidate] => Cell { candidate, ..plain },
            [gate, candidate] => Cell { gate, candidate, ..plain },
            [gate, candidate, output, ..] => Cell { gate, candidate, output, ..plain },
        }
    }

    /// The node with our names and orders.
    pub fn stack(&self) -> Stack {
        let cell = self.cell();
        let x = self.time_first(&self.inputs["X"]);
        let (frames, batch, inputs) = (x.shape[0], x.shape[1], x.shape[2]);
        let recurrent = &self.inputs["R"];
        let (directions, hidden) = (recurrent.shape[0], recurrent.shape[2]);
        let direction = match self.attributes["direction"].as_str() {
            Some("reverse") => Direction::Reverse,
            Some("bidirectional") => Direction::Both,
            _ => Direction::Forward,
        };
        let mut stack = Stack::new(cell, 1, direction, [frames, batch, inputs, hidden]);
        if let Some(lengths) = self.inputs.get("sequence_lens") {
            stack.lengths = lengths.data.iter().map(|&x| x as usize).collect();
        }
        for (name, shape) in stack.shapes() {
            stack.values.set(&name, &vec![0.0; shape.iter().product()]);
        }
        stack.values.set("x", &x.data);
        for (name, theirs) in [("h", "initial_h"), ("c", "initial_c")] {
            if let Some(state) = self.inputs.get(theirs) {
                stack.values.set(name, &self.time_first(state).data);
            }
        }
        // Which of their blocks are ours, in our order.
        let blocks: &[usize] = match &*self.operator {
            "RNN" => &[0],
            "GRU" => &[1, 0, 2],
            _ if cell.coupled => &[0, 3, 1],
            _ => &[0, 2, 3, 1],
        };
        let peepholes: &[_] =
            if cell.coupled { &[("weight_ci", 0), ("weight_co", 1)] } else { &[("weight_ci", 0), ("weight_cf", 2), ("weight_co", 1)] };
        for d in 0..directions {
            let reverse = direction == Direction::Reverse || d == 1;
            let ours = |name: &str| format!("{name}_l0{}", if reverse { "_reverse" } else { "" });
            let own = |name: &str| {
                let array = &self.inputs[name];
                let size = array.data.len() / directions;
                array.data[d * size..][..size].to_vec()
            };
            let picked = |rows: &[f64], width: usize| -> Vec<f64> {
                blocks.iter().flat_map(|block| rows[block * hidden * width..][..hidden * width].to_vec()).collect()
            };
            stack.values.set(&ours("weight_ih"), &picked(&own("W"), inputs));
            stack.values.set(&ours("weight_hh"), &picked(&own("R"), hidden));
            if self.inputs.contains_key("B") {
                let both = own("B");
                let (ih, hh) = both.split_at(both.len() / 2);
                stack.values.set(&ours("bias_ih"), &picked(ih, 1));
                stack.values.set(&ours("bias_hh"), &picked(hh, 1));
            }
            if cell.peepholes {
                let all = own("P");
                for &(name, block) in peepholes {
                    stack.values.set(&ours(name), &all[block * hidden..][..hidden]);
                }
            }
        }
        stack
    }

    /// Y as [T, N, D H], if the node gives it.
    pub fn y(&self) -> Option<Vec<f64>> {
        let y = self.outputs.get("Y")?;
        if self.batch_first() {
            // [N, T, D, H]
            return Some(self.time_first(y).data);
        }
        let (directions, batch, hidden) = (y.shape[1], y.shape[2], y.shape[3]);
        let frames = y.data.chunks_exact(directions * batch * hidden);
        let at = |frame: &[f64], n: usize, d: usize| frame[(d * batch + n) * hidden..][..hidden].to_vec();
        Some(
            frames
                .flat_map(|frame| (0..batch * directions).flat_map(|i| at(frame, i / directions, i % directions)).collect::<Vec<_>>())
                .collect(),
        )
    }

    /// Y_h or Y_c as [D, N, H].
    pub fn last(&self, name: &str) -> Option<Vec<f64>> {
        Some(self.time_first(self.outputs.get(name)?).data)
    }
}
