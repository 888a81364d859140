//! Each cell in each order, out and in again.

use crate::common::Lcg;
use crate::{array, bare, file, random};
use weft::Error;
use weft::recurrent::orders::{Gated, HostWeights, NamedArray, NormWeights, Order, export, import};

const ORDERS: [Order; 10] = [
    Order::PyTorch { layer: 0 },
    Order::PyTorch { layer: 3 },
    Order::PyTorchCell,
    Order::Onnx,
    Order::Keras,
    Order::WebNn,
    Order::WebNnIfgo,
    Order::TfBasicLstm { forget_bias: 1.0 },
    Order::Haste,
    Order::SpeechBrain,
];
const CELLS: [Gated; 6] = [Gated::Rnn, Gated::Lstm, Gated::LstmCoupled, Gated::GruResetAfter, Gated::GruResetBefore, Gated::LiGru];

/// Whether the library has one bias where we have two.
fn one_bias(order: Order, cell: Gated) -> bool {
    match order {
        Order::Keras => cell != Gated::GruResetAfter,
        Order::TfBasicLstm { .. } => true,
        Order::Haste => cell == Gated::Lstm,
        _ => false,
    }
}

#[test]
fn there_and_back() {
    let mut seen = 0;
    for order in ORDERS {
        for cell in CELLS {
            for directions in [1, 2] {
                let mut layer: Vec<HostWeights> = (0..directions).map(|d| random(cell, 5 + d)).collect();
                for weights in &mut layer {
                    if one_bias(order, cell) {
                        // Multiples of 1/64: sums with the forget bias are exact.
                        let [ih, hh] = weights.bias.as_mut().unwrap();
                        ih.iter_mut().for_each(|x| *x = (*x * 64.0).round() / 64.0);
                        hh.fill(0.0);
                    }
                    if order == Order::SpeechBrain {
                        weights.bias = None;
                        let list = |seed| Lcg(seed).list(4, 1.0);
                        let running = Some([list(1), list(2)]);
                        weights.norm_ih = Some(NormWeights { weight: list(3), bias: list(4), running });
                        weights.norm_hh = Some(NormWeights { weight: list(5), bias: list(6), running: None });
                    }
                    if matches!(order, Order::Onnx | Order::WebNn | Order::WebNnIfgo) && cell == Gated::Lstm {
                        weights.peepholes = Some([1, 2, 3].map(|seed| Lcg(seed).list(2, 1.0)));
                    }
                    if matches!(order, Order::PyTorch { .. }) && cell == Gated::Lstm {
                        weights.weight_hr = Some(Lcg(9).list(2, 1.0));
                        weights.weight_hh.truncate(8);
                    }
                }
                let exported = match export(&layer, order, cell) {
                    Ok(exported) => exported,
                    Err(error) => {
                        assert!(matches!(error, Error::Value { .. }), "{error}");
                        continue;
                    }
                };
                assert_eq!(import(&file(&exported), bare, order, cell).unwrap(), layer, "{order:?} {cell:?}");
                // Behind a prefix, among other tensors.
                let prefixed = exported.iter().map(|array| NamedArray { name: format!("a.{}", array.name), ..array.clone() });
                let more = [array("a.drop_masks", &[4], &[0.0; 4]), array("W", &[1], &[0.0])];
                let weights = file(&prefixed.chain(more).collect::<Vec<_>>());
                assert_eq!(import(&weights, |part| format!("a.{part}"), order, cell).unwrap(), layer);
                // Without biases.
                for weights in &mut layer {
                    weights.bias = None;
                }
                if !matches!(order, Order::TfBasicLstm { .. }) {
                    let exported = export(&layer, order, cell).unwrap();
                    assert_eq!(import(&file(&exported), bare, order, cell).unwrap(), layer, "{order:?} {cell:?}");
                }
                seen += 1;
            }
        }
    }
    // PyTorch twice three cells in one and two directions, its cells three, ONNX five and WebNN twice three in one and
    // two, Keras four, TensorFlow one, Haste two, SpeechBrain one.
    assert_eq!(seen, 12 + 3 + 10 + 12 + 4 + 1 + 2 + 1);
}
