//! Weights in the orders of other libraries: there and back, against orders written down by hand, and bad files.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "recurrent/truth/mod.rs"]
mod truth;

use common::Lcg;
use safetensors::tensor::{Dtype, TensorView, serialize};
use truth::{Stack, onnx_cases, speechbrain_cases, torch_cases};
use weft::recurrent::orders::{Gated, HostWeights, NamedArray, NormWeights, Order, export, import};
use weft::{Error, Weights};

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

/// H 1, I 2, weights like their names: row of gate k is (k1, k2), its recurrent weight k3, its biases k4 and k5.
fn numbered(cell: Gated) -> HostWeights {
    let of = |digits: &[u8]| (1..=cell.gates()).flat_map(|gate| digits.iter().map(move |&d| (gate * 10) as f32 + f32::from(d))).collect();
    HostWeights {
        input_size: 2,
        hidden_size: 1,
        weight_ih: of(&[1, 2]),
        weight_hh: of(&[3]),
        bias: Some([of(&[4]), of(&[5])]),
        ..HostWeights::default()
    }
}

#[test]
fn orders_by_hand() {
    let exported = |order, cell| export(&[numbered(cell)], order, cell).unwrap();
    // Ours: i 1, f 2, g 3, o 4; r 1, z 2, n 3.
    assert_eq!(
        exported(Order::Onnx, Gated::Lstm),
        [
            array("W", &[1, 4, 2], &[11., 12., 41., 42., 21., 22., 31., 32.]),
            array("R", &[1, 4, 1], &[13., 43., 23., 33.]),
            array("B", &[1, 8], &[14., 44., 24., 34., 15., 45., 25., 35.]),
        ]
    );
    assert_eq!(exported(Order::Onnx, Gated::GruResetBefore)[1], array("R", &[1, 3, 1], &[23., 13., 33.]));
    assert_eq!(
        exported(Order::Keras, Gated::Lstm),
        [
            array("kernel", &[2, 4], &[11., 21., 31., 41., 12., 22., 32., 42.]),
            array("recurrent_kernel", &[1, 4], &[13., 23., 33., 43.]),
            array("bias", &[4], &[29., 49., 69., 89.]),
        ]
    );
    assert_eq!(
        exported(Order::Keras, Gated::GruResetAfter),
        [
            array("kernel", &[2, 3], &[21., 11., 31., 22., 12., 32.]),
            array("recurrent_kernel", &[1, 3], &[23., 13., 33.]),
            array("bias", &[2, 3], &[24., 14., 34., 25., 15., 35.]),
        ]
    );
    assert_eq!(exported(Order::Keras, Gated::GruResetBefore)[2], array("bias", &[3], &[49., 29., 69.]));
    assert_eq!(
        exported(Order::TfBasicLstm { forget_bias: 1.0 }, Gated::Lstm),
        [
            array("kernel", &[3, 4], &[11., 31., 21., 41., 12., 32., 22., 42., 13., 33., 23., 43.]),
            array("bias", &[4], &[29., 69., 48., 89.]),
        ]
    );
    assert_eq!(
        exported(Order::Haste, Gated::Lstm)[..2],
        [array("kernel", &[2, 4], &[11., 31., 21., 41., 12., 32., 22., 42.]), array("recurrent_kernel", &[1, 4], &[13., 33., 23., 43.]),]
    );
    assert_eq!(exported(Order::Haste, Gated::GruResetAfter)[3], array("recurrent_bias", &[3], &[25., 15., 35.]));
    assert_eq!(exported(Order::WebNn, Gated::Lstm)[1], array("recurrentWeight", &[1, 4, 1], &[13., 43., 23., 33.]));
    assert_eq!(exported(Order::WebNn, Gated::GruResetAfter)[3], array("recurrentBias", &[1, 3], &[25., 15., 35.]));
    assert_eq!(exported(Order::WebNnIfgo, Gated::Lstm)[1], array("recurrentWeight", &[1, 4, 1], &[13., 23., 33., 43.]));
    let peepholes = Some([vec![1.0], vec![2.0], vec![3.0]]);
    let with = export(&[HostWeights { peepholes, ..numbered(Gated::Lstm) }], Order::Onnx, Gated::Lstm).unwrap();
    assert_eq!(with[3], array("P", &[1, 3], &[1.0, 3.0, 2.0]));
    let names = |arrays: Vec<NamedArray>| arrays.into_iter().map(|array| array.name).collect::<Vec<_>>();
    let two = [numbered(Gated::Rnn), numbered(Gated::Rnn)];
    assert_eq!(
        names(export(&two, Order::PyTorch { layer: 2 }, Gated::Rnn).unwrap()),
        [
            "weight_ih_l2",
            "weight_hh_l2",
            "bias_ih_l2",
            "bias_hh_l2",
            "weight_ih_l2_reverse",
            "weight_hh_l2_reverse",
            "bias_ih_l2_reverse",
            "bias_hh_l2_reverse"
        ]
    );
}

/// That these are the weights of one layer of a stack of the truth.
fn assert_same(what: &str, got: &[HostWeights], stack: &Stack, layer: usize) {
    let directions = if stack.shared { 1 } else { stack.directions() };
    assert_eq!(got.len(), directions, "{what}");
    for (d, got) in got.iter().enumerate() {
        let reverse = !stack.shared && (d == 1 || stack.direction == truth::Direction::Reverse);
        let expected = |name: &str| stack.values.f32(&format!("{name}_l{layer}{}", if reverse { "_reverse" } else { "" }));
        assert_eq!(got.weight_ih, expected("weight_ih"), "{what}");
        assert_eq!(got.weight_hh, expected("weight_hh"), "{what}");
        if let Some(bias) = &got.bias {
            assert_eq!(bias, &[expected("bias_ih"), expected("bias_hh")], "{what}");
        }
        if let Some(projection) = &got.weight_hr {
            assert_eq!(projection, &expected("weight_hr"), "{what}");
        }
        if let Some([i, f, o]) = &got.peepholes {
            let f_too = if stack.cell.coupled { f.clone() } else { expected("weight_cf") };
            assert_eq!([i, f, o], [&expected("weight_ci"), &f_too, &expected("weight_co")], "{what}");
        }
        if let Some(norm) = &got.norm_ih {
            assert_eq!([&norm.weight, &norm.bias], [&expected("norm_ih.weight"), &expected("bias_ih")], "{what}");
        }
        if let Some(norm) = &got.norm_hh {
            assert_eq!([&norm.weight, &norm.bias], [&expected("norm_hh.weight"), &expected("bias_hh")], "{what}");
        }
    }
}

fn f32s(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&x| x as f32).collect()
}

#[test]
fn nodes_of_onnx() {
    for case in onnx_cases() {
        let inputs = case.inputs.iter().filter(|(name, _)| ["W", "R", "B", "P"].contains(&name.as_str()));
        let arrays: Vec<_> = inputs.map(|(name, input)| array(&format!("node_{name}"), &input.shape, &f32s(&input.data))).collect();
        let cell = match &*case.operator {
            "RNN" => Gated::Rnn,
            "LSTM" if case.attributes["input_forget"] == 1 => Gated::LstmCoupled,
            "LSTM" => Gated::Lstm,
            _ if case.attributes["linear_before_reset"] == 1 => Gated::GruResetAfter,
            _ => Gated::GruResetBefore,
        };
        let got = import(&file(&arrays), |part| format!("node_{part}"), Order::Onnx, cell).unwrap();
        assert_eq!(got.iter().all(|w| w.bias.is_some()), case.inputs.contains_key("B"));
        assert_eq!(got.iter().all(|w| w.peepholes.is_some()), case.inputs.contains_key("P"));
        assert_same(&case.name, &got, &case.stack(), 0);
        // The file again, in ONNX's order; rows that nothing reads are zeros now.
        for array in export(&got, Order::Onnx, cell).unwrap() {
            let mut expected = f32s(&case.inputs[&array.name].data);
            if cell == Gated::LstmCoupled && array.name != "P" {
                let blocks = array.shape.iter().product::<usize>() / array.shape[0];
                let size = if array.name == "B" { blocks / 8 } else { blocks / 4 };
                expected.chunks_exact_mut(size).skip(2).step_by(4).for_each(|forget| forget.fill(0.0));
            }
            assert_eq!((&array.shape, array.data), (&case.inputs[&array.name].shape, expected), "{}", case.name);
        }
    }
}

#[test]
fn modules_of_torch() {
    for case in torch_cases() {
        let stack = &case.stack;
        let arrays: Vec<_> = stack
            .shapes()
            .into_iter()
            .filter(|(name, _)| name.contains("_l"))
            .map(|(name, shape)| array(&name, &shape, &stack.values.f32(&name)))
            .collect();
        let cell = match (stack.cell.gates(), stack.cell.bias) {
            (1, _) => Gated::Rnn,
            (3, _) => Gated::GruResetAfter,
            _ => Gated::Lstm,
        };
        for layer in 0..stack.layers {
            let got = import(&file(&arrays), bare, Order::PyTorch { layer }, cell).unwrap();
            assert!(got.iter().all(|w| w.bias.is_some() == stack.cell.bias && w.weight_hr.is_some() == stack.cell.projection.is_some()));
            assert_same(&case.name, &got, stack, layer);
        }
    }
}

#[test]
fn checkpoints_of_speechbrain() {
    for case in speechbrain_cases() {
        let stack = &case.stack;
        let recurrent = case.gradients.0.contains_key("norm_hh.weight_l0");
        for layer in 0..stack.layers {
            let rows = 2 * stack.hidden;
            let inputs = if layer == 0 { stack.inputs } else { stack.outputs() };
            let get = |name: &str| stack.values.f32(&format!("{name}_l{layer}"));
            let named = |part: &str, shape: &[usize], ours: &str| array(&format!("rnn.{layer}.{part}"), shape, &get(ours));
            // As LiGRU writes them: masks and counters too.
            let mut arrays = vec![
                array(&format!("rnn.{layer}.h_init"), &[1, stack.hidden], &vec![0.0; stack.hidden]),
                array(&format!("rnn.{layer}.drop_masks"), &[16, stack.hidden], &vec![f32::NAN; 16 * stack.hidden]),
                array(&format!("rnn.{layer}.drop_mask_te"), &[1], &[1.0]),
                array(&format!("rnn.{layer}.norm.num_batches_tracked"), &[], &[1.0]),
                named("w.weight", &[rows, inputs], "weight_ih"),
                named("u.weight", &[rows, stack.hidden], "weight_hh"),
                named("norm.weight", &[rows], "norm_ih.weight"),
                named("norm.bias", &[rows], "bias_ih"),
            ];
            let running = [vec![0.5; rows], vec![1.5; rows]];
            for (part, data) in ["running_mean", "running_var"].iter().zip(&running) {
                if !case.running.is_empty() {
                    arrays.push(array(&format!("rnn.{layer}.norm.{part}"), &[rows], data));
                }
            }
            if recurrent {
                arrays.push(named("layer_norm.weight", &[rows], "norm_hh.weight"));
                arrays.push(named("layer_norm.bias", &[rows], "bias_hh"));
            }
            let got = import(&file(&arrays), |part| format!("rnn.{layer}.{part}"), Order::SpeechBrain, Gated::LiGru).unwrap();
            assert_same(&case.name, &got, stack, layer);
            assert_eq!(got[0].norm_hh.is_some(), recurrent);
            assert_eq!(got[0].norm_ih.as_ref().unwrap().running, (!case.running.is_empty()).then_some(running));
        }
    }
}

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
