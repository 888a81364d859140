//! Weights in the orders of other libraries: there and back, against orders written down by hand and what those libraries compute, and bad files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../recurrent/truth/mod.rs"]
mod truth;

mod bad_files;
mod by_hand;
mod libraries;
mod there_and_back;

use common::Lcg;
use safetensors::tensor::{Dtype, TensorView, serialize};
use weft::Weights;
use weft::recurrent::orders::{Gated, HostWeights, NamedArray};

/// A file of these.
fn file(arrays: &[NamedArray]) -> Weights {
    let data: Vec<Vec<u8>> = arrays.iter().map(|array| array.data.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = arrays.iter().zip(&data).map(|(array, data)| {
        let view = TensorView::new(Dtype::F32, array.shape.clone(), data).unwrap();
        (array.name.clone(), view)
    });
    Weights::from_bytes(serialize(views.collect::<Vec<_>>(), None).unwrap()).unwrap()
}

fn array(name: &str, shape: &[usize], data: &[f32]) -> NamedArray {
    NamedArray { name: name.to_owned(), shape: shape.to_vec(), data: data.to_vec() }
}

fn bare(part: &str) -> String {
    part.to_owned()
}

/// Weights of I 3, H 2 with two biases.
fn random(cell: Gated, seed: u64) -> HostWeights {
    let mut lcg = Lcg(seed);
    let rows = cell.gates() * 2;
    HostWeights {
        input_size: 3,
        hidden_size: 2,
        weight_ih: lcg.list(rows * 3, 1.0),
        weight_hh: lcg.list(rows * 2, 1.0),
        bias: Some([lcg.list(rows, 1.0), lcg.list(rows, 1.0)]),
        ..HostWeights::default()
    }
}
