//! Files that are not what they should be, and layers that another library has no place for.

use crate::common::Lcg;
use crate::{array, bare, file, random};
use weft::Error;
use weft::recurrent::orders::{Gated, HostWeights, NamedArray, NormWeights, Order, export, import};

/// What `import` says of these arrays.
fn said(arrays: &[NamedArray], order: Order, cell: Gated) -> String {
    let error = import(&file(arrays), bare, order, cell).unwrap_err();
    assert!(matches!(error, Error::Weights { .. }), "{error}");
    error.to_string()
}

#[test]
fn bad_files_are_named() {
    let zeros = |name: &str, shape: &[usize]| array(name, shape, &vec![0.0; shape.iter().product()]);
    let expect = |arrays: &[NamedArray], order, cell, words: &[&str]| {
        let said = said(arrays, order, cell);
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    };
    let (torch, lstm) = (Order::PyTorch { layer: 0 }, Gated::Lstm);
    let good = [zeros("weight_ih_l0", &[8, 3]), zeros("weight_hh_l0", &[8, 2])];
    assert!(import(&file(&good), bare, torch, lstm).is_ok());
    expect(&[], torch, lstm, &["weight_hh_l0"]);
    expect(&good[1..], torch, lstm, &["weight_ih_l0"]);
    expect(&[good.as_slice(), &[zeros("bias_ih_l0", &[8])]].concat(), torch, lstm, &["bias_hh_l0"]);
    expect(&[good.as_slice(), &[zeros("bias_hh_l0", &[8])]].concat(), torch, lstm, &["bias_ih_l0"]);
    let biases = [zeros("bias_ih_l0", &[8]), zeros("bias_hh_l0", &[6])];
    expect(&[good.as_slice(), &biases].concat(), torch, lstm, &["bias_hh_l0", "[6]", "[8]"]);
    expect(&[good[0].clone(), zeros("weight_hh_l0", &[9, 2])], torch, lstm, &["weight_hh_l0", "[9, 2]", "[4 H, H]", "i f g o"]);
    expect(&[good[0].clone(), zeros("weight_hh_l0", &[8])], torch, lstm, &["weight_hh_l0", "[8]", "[4 H, H]"]);
    expect(&[good[0].clone(), zeros("weight_hh_l0", &[8, 0])], torch, lstm, &["weight_hh_l0", "[8, 0]"]);
    expect(&[zeros("weight_ih_l0", &[12, 3]), good[1].clone()], torch, lstm, &["weight_ih_l0", "[12, 3]", "[8, I]"]);
    // A projection without its weights; and one that does not fit.
    let narrow = [good[0].clone(), zeros("weight_hh_l0", &[8, 1])];
    expect(&narrow, torch, lstm, &["weight_hh_l0", "[8, 1]", "[8, 2]"]);
    expect(&[narrow.as_slice(), &[zeros("weight_hr_l0", &[2, 1])]].concat(), torch, lstm, &["weight_hr_l0", "[2, 1]", "[1, 2]"]);
    // A reverse direction that is not whole.
    expect(&[good.as_slice(), &[zeros("weight_ih_l0_reverse", &[8, 3])]].concat(), torch, lstm, &["weight_hh_l0_reverse"]);

    // The orientation is told by the shape, where it can be.
    let keras = [zeros("kernel", &[8, 3]), zeros("recurrent_kernel", &[8, 2])];
    expect(&keras, Order::Keras, lstm, &["recurrent_kernel", "[8, 2]", "[H, 4 H]", "Keras", "i f g o"]);
    let gru = [zeros("kernel", &[3, 6]), zeros("recurrent_kernel", &[2, 6])];
    let with = |bias: &[usize]| [gru.as_slice(), &[zeros("bias", bias)]].concat();
    expect(&with(&[6]), Order::Keras, Gated::GruResetAfter, &["bias", "[6]", "[2, 6]"]);
    expect(&with(&[2, 6]), Order::Keras, Gated::GruResetBefore, &["bias", "[2, 6]", "[6]"]);
    let onnx = [zeros("W", &[2, 8, 3]), zeros("R", &[1, 8, 2])];
    expect(&onnx, Order::Onnx, lstm, &["R of", "[1, 8, 2]", "[2, 4 H, H]", "i o f c"]);
    expect(&[zeros("W", &[8, 3]), onnx[1].clone()], Order::Onnx, lstm, &["W of", "[8, 3]", "[1 or 2, 4 H, I]"]);
    let wide = [zeros("W", &[1, 8, 3]), onnx[1].clone(), zeros("B", &[1, 8])];
    expect(&wide, Order::Onnx, lstm, &["B of", "[1, 8]", "[1, 16]"]);
    expect(&[wide[..2].to_vec(), vec![zeros("P", &[1, 8])]].concat(), Order::Onnx, lstm, &["P of", "[1, 8]", "[1, 6]"]);
    let basic = Order::TfBasicLstm { forget_bias: 1.0 };
    expect(&[zeros("kernel", &[5, 8])], basic, lstm, &["bias"]);
    expect(&[zeros("kernel", &[2, 8]), zeros("bias", &[8])], basic, lstm, &["kernel", "[2, 8]", "[I + H, 4 H]"]);
    let li_gru = [zeros("w.weight", &[4, 3]), zeros("u.weight", &[4, 2]), zeros("norm.weight", &[4])];
    expect(&li_gru, Order::SpeechBrain, Gated::LiGru, &["norm.bias"]);
}

#[test]
fn what_a_library_does_not_have_is_said() {
    let refused = |weights: &[HostWeights], order, cell| {
        let error = export(weights, order, cell).unwrap_err();
        assert!(matches!(error, Error::Value { .. } | Error::Shape { .. }), "{error}");
        error.to_string()
    };
    let lstm = random(Gated::Lstm, 1);
    assert!(refused(std::slice::from_ref(&lstm), Order::SpeechBrain, Gated::Lstm).contains("SpeechBrain of a Lstm"));
    assert!(refused(&[], Order::Onnx, Gated::Lstm).contains("0 directions"));
    assert!(refused(&[lstm.clone(), lstm.clone()], Order::Keras, Gated::Lstm).contains("2 directions"));
    let peepholes = HostWeights { peepholes: Some([1, 2, 3].map(|seed| Lcg(seed).list(2, 1.0))), ..lstm.clone() };
    assert!(refused(std::slice::from_ref(&peepholes), Order::Keras, Gated::Lstm).contains("peepholes"));
    assert!(refused(&[peepholes.clone(), lstm.clone()], Order::Onnx, Gated::Lstm).contains("P in both directions"));
    assert!(refused(&[lstm.clone(), peepholes], Order::Onnx, Gated::Lstm).contains("P [6]"));
    let projected = HostWeights { weight_hr: Some(vec![0.0; 2]), weight_hh: vec![0.0; 8], ..lstm.clone() };
    assert!(refused(&[projected], Order::Onnx, Gated::Lstm).contains("projection"));
    let norm = Some(NormWeights { weight: vec![1.0; 8], bias: vec![0.0; 8], running: None });
    assert!(refused(&[HostWeights { norm_ih: norm, ..lstm.clone() }], Order::Onnx, Gated::Lstm).contains("norms"));
    assert!(refused(&[random(Gated::LiGru, 1)], Order::SpeechBrain, Gated::LiGru).contains("biases"));
    let unbiased = HostWeights { bias: None, ..lstm.clone() };
    assert!(refused(&[unbiased], Order::TfBasicLstm { forget_bias: 1.0 }, Gated::Lstm).contains("no bias"));
    let short = refused(&[HostWeights { weight_hh: vec![0.0; 3], ..lstm.clone() }], Order::Onnx, Gated::Lstm);
    assert!(short.contains("weight_hh") && short.contains("[8, 2]") && short.contains("3 elements"), "{short}");
    assert!(refused(&[HostWeights::default()], Order::Onnx, Gated::Lstm).contains("at least 1"));
}

#[test]
fn numbers_that_are_none_are_found() {
    let norm = NormWeights { weight: vec![1.0; 8], bias: vec![0.0; 8], running: Some([vec![0.0; 8], vec![1.0; 8]]) };
    let good = HostWeights {
        weight_hr: Some(vec![0.5; 4]),
        peepholes: Some([vec![0.1; 2], vec![0.2; 2], vec![0.3; 2]]),
        norm_ih: Some(norm.clone()),
        norm_hh: Some(norm),
        ..random(Gated::Lstm, 3)
    };
    good.check_finite().unwrap();
    let expect = |words: [&str; 2], spoil: fn(&mut HostWeights)| {
        let mut weights = good.clone();
        spoil(&mut weights);
        let error = weights.check_finite().unwrap_err();
        assert!(matches!(error, Error::Value { .. }) && words.iter().all(|word| error.to_string().contains(word)), "{words:?}: {error}");
    };
    expect(["weight_ih", "NaN at element 23 of 24"], |w| w.weight_ih[23] = f32::NAN);
    expect(["weight_hh", "-inf at element 0 of 16"], |w| w.weight_hh[0] = f32::NEG_INFINITY);
    expect(["bias_ih", "element 1"], |w| w.bias.as_mut().unwrap()[0][1] = f32::INFINITY);
    expect(["bias_hh", "element 2"], |w| w.bias.as_mut().unwrap()[1][2] = f32::NAN);
    expect(["weight_hr", "element 3"], |w| w.weight_hr.as_mut().unwrap()[3] = f32::NAN);
    expect(["weight_ci", "element 0"], |w| w.peepholes.as_mut().unwrap()[0][0] = f32::NAN);
    expect(["weight_cf", "element 1"], |w| w.peepholes.as_mut().unwrap()[1][1] = f32::NAN);
    expect(["weight_co", "element 1"], |w| w.peepholes.as_mut().unwrap()[2][1] = f32::NAN);
    expect(["weight of a norm", "element 4"], |w| w.norm_ih.as_mut().unwrap().weight[4] = f32::NAN);
    expect(["bias of a norm", "element 5"], |w| w.norm_hh.as_mut().unwrap().bias[5] = f32::NAN);
    expect(["running mean", "element 6"], |w| w.norm_ih.as_mut().unwrap().running.as_mut().unwrap()[0][6] = f32::NAN);
    expect(["running variance", "-1 at element 7"], |w| w.norm_ih.as_mut().unwrap().running.as_mut().unwrap()[1][7] = -1.0);
}
