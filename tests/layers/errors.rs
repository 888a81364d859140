//! Norms that are missing, misnamed or of another size.

use weft::recurrent::cells::{BatchNorm, Cell, InputNorm, Norm, NormSpan, Norms};
use weft::recurrent::{Layer, LayerWeights};
use weft::{Context, Error};

fn layer(cell: &Cell, parameters: &[(&str, &[f32])]) -> weft::Result<Layer> {
    let [gates, rows] = [cell.gates().len(), cell.recurrent().len()];
    let (weight_ih, weight_hh) = (vec![0.1; gates * 2 * 3], vec![0.1; rows * 2 * 2]);
    let weights = LayerWeights { input_size: 3, hidden_size: 2, weight_ih: &weight_ih, weight_hh: &weight_hh, bias: None, parameters };
    Layer::new(&Context::cpu(), cell, &weights)
}

#[test]
fn a_layer_names_the_norms_that_it_expects() {
    let cell = Cell::layer_norm_lstm();
    let names: Vec<String> = LayerWeights::parameters_of(&cell).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["norm_ih.weight", "norm_hh.weight", "norm_c.weight", "norm_c.bias"]);
    let error = layer(&cell, &[]).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "parameters", .. }), "{error}");
    assert!(error.to_string().contains("norm_hh.weight"), "{error}");

    let (gates, units) = ([1.0; 8], [1.0; 2]);
    let right: [(&str, &[f32]); 4] =
        [("norm_ih.weight", &gates), ("norm_hh.weight", &gates), ("norm_c.weight", &units), ("norm_c.bias", &units)];
    assert!(layer(&cell, &right).is_ok());
    let mut short = right;
    short[1].1 = &gates[1..];
    let error = layer(&cell, &short).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "parameters", .. }), "{error}");
    assert!(error.to_string().contains("norm_hh.weight of [8]"), "{error}");
}

#[test]
fn a_batch_norm_asks_for_its_running_statistics() {
    let norms = Norms { input: Some(InputNorm::Batch(BatchNorm::SPEECHBRAIN)), ..Norms::default() };
    let plain = || Cell::builder("plain").gates(&["a"]).recurrent(&["a"]).states(&["h"]).update(|u| vec![(u.x[0] + u.r[0]).tanh()]);
    let cell = plain().norms(norms).build().unwrap();
    let names: Vec<String> = LayerWeights::parameters_of(&cell).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["norm_ih.weight", "norm_ih.bias", "norm_ih.running_mean", "norm_ih.running_var"]);

    let momentum = BatchNorm { momentum: f32::NAN, ..BatchNorm::SPEECHBRAIN };
    let error = plain().norms(Norms { input: Some(InputNorm::Batch(momentum)), ..Norms::default() }).build().unwrap_err();
    assert!(matches!(error, Error::Value { argument: "momentum", .. }), "{error}");
}

#[test]
fn norms_that_no_tier_can_apply_are_refused() {
    let norm = Norm { span: NormSpan::Whole, gain: false, bias: false, eps: Norm::EPS };
    let norms = Norms { recurrent: Some(norm), ..Norms::default() };
    let alone = Cell::builder("alone").gates(&["a"]).states(&["h"]).norms(norms).update(|u| vec![u.x[0] + u.s[0]]).build();
    let error = alone.unwrap_err();
    assert!(matches!(error, Error::Value { argument: "norms.recurrent", .. }), "{error}");

    let twice = Cell::builder("twice").gates(&["a", "b"]).recurrent(&["a", "b"]).states(&["h"]).norms(norms);
    let twice = twice.mid(1, |u| (u.x[0] + u.r[0]) * u.s[0]).update(|u| vec![u.x[1] + u.r[1]]).build();
    let error = twice.unwrap_err();
    assert!(matches!(error, Error::Value { argument: "norms", .. }), "{error}");
}
