//! Recurrent weights that are not dense: h is projected, numbers are dropped, units see those of their head only.

use crate::case::{Case, Pair, pairs};
use crate::common::{assert_close, contexts_with, shared_contexts};
use crate::truth;
use weft::recurrent::cells::{Activation, Cell, ForgetGate, LstmOptions, NormSpan};
use weft::recurrent::{Layer, LayerWeights, RunOptions, Tier, TrainOptions};
use weft::{Context, Error, Tensor};

const TOLERANCE: f64 = 2e-5;

/// Every cell that can be projected, with so many outputs.
fn projected(outputs: usize) -> Vec<Pair> {
    let lstm = LstmOptions::default();
    let pair = |cell, truth| Pair { cell, truth: truth::Cell { projection: Some(outputs), ..truth } };
    let clipped = truth::Cell { gate_clip: Some(0.4), cell_clip: Some(0.3), ..truth::Cell::lstm() };
    vec![
        pair(Cell::lstm(), truth::Cell::lstm()),
        pair(
            LstmOptions { peepholes: true, coupled: true, ..lstm }.build().unwrap(),
            truth::Cell { peepholes: true, coupled: true, ..truth::Cell::lstm() },
        ),
        pair(Cell::s_lstm(ForgetGate::Sigmoid), truth::Cell::s_lstm()),
        pair(LstmOptions { gate_clip: Some(0.4), cell_clip: Some(0.3), ..lstm }.build().unwrap(), clipped),
    ]
}

#[test]
fn a_projected_h_agrees_with_the_truth() {
    for (name, context) in shared_contexts() {
        for (sizes, outputs) in [([1, 1, 1, 1], 1), ([5, 2, 3, 4], 3), ([9, 3, 5, 33], 7), ([4, 9, 33, 32], 32), ([6, 1, 40, 70], 1)] {
            for pair in projected(outputs) {
                let case = Case::random(&pair, sizes, 3);
                case.check(&name, &context, TOLERANCE);
                case.check_gradients(&name, &context, TOLERANCE);
            }
        }
    }
}

#[test]
fn a_projected_h_reverse_ragged_and_with_resets() {
    for (name, context) in shared_contexts() {
        for pair in projected(5) {
            for reverse in [false, true] {
                let mut case = Case::random(&pair, [7, 5, 3, 17], 4);
                case.problem.reverse = reverse;
                case.check_gradients(&name, &context, TOLERANCE);
                case.problem.lengths = vec![7, 0, 3, 1, 6];
                case.check(&name, &context, TOLERANCE);
                case.check_gradients(&name, &context, TOLERANCE);
                case.problem.resets = vec![(0, 0), (3, 0), (2, 2), (0, 3), (5, 4), (6, 4)];
                case.check(&name, &context, TOLERANCE);
                case.check_gradients(&name, &context, TOLERANCE);
            }
        }
    }
}

/// Windows that hold the states of all frames, but not the gates.
#[test]
fn a_projected_h_over_stretches() {
    for (name, context) in contexts_with(|options| options.with_max_binding_bytes(4864)) {
        for pair in projected(4).into_iter().filter(|pair| pair.cell.states().len() == 2) {
            for reverse in [false, true] {
                let mut case = Case::random(&pair, [24, 2, 3, 9], 10);
                case.problem.reverse = reverse;
                case.problem.lengths = vec![24, 13];
                case.problem.resets = vec![(7, 0), (8, 1)];
                case.check_gradients(&name, &context, TOLERANCE);
            }
            let plan = Case::random(&pair, [24, 2, 3, 9], 10).layer(&context).plan(24, 2).unwrap().to_string();
            assert!(plan.matches("cell_first ").count() > 1, "{plan}");
        }
    }
}

/// Frames one at a time, then in twos.
#[test]
fn a_projected_h_as_a_stream() {
    for (name, context) in shared_contexts() {
        let [pair, ..] = &projected(6)[..] else { panic!("no cell") };
        let case = Case::random(pair, [8, 3, 4, 20], 5);
        let (layer, x, expected) = (case.layer(&context), case.problem.values.f32("x"), case.problem.solve());
        for step in [1, 2] {
            let mut state = case.state(&context);
            let mut all = Vec::new();
            for part in x.chunks_exact(step * 3 * 4) {
                let x = Tensor::from_slice(&context, &[step, 3, 4], part).unwrap();
                let (y, after) = layer.forward_blocking(&x, None, Some(&state)).unwrap();
                all.extend(y.to_vec_blocking().unwrap());
                state = after;
            }
            assert_close(&format!("{name}, {step} at a time"), &all, &expected.y, 1e-5, 1e-5);
            assert_close(&format!("{name}: h"), &state.h_blocking().unwrap(), &expected.states[0], 1e-5, 1e-5);
        }
    }
}

/// Cells with a product of every kind: summed, apart, second, normalised.
fn with_products() -> Vec<Pair> {
    let wanted = [Cell::lstm(), Cell::gru(), Cell::gru_reset_before(), Cell::sli_gru(), Cell::s_lstm(ForgetGate::Sigmoid)];
    let is_wanted = |pair: &Pair| wanted.iter().any(|cell| cell.name() == pair.cell.name());
    let pairs: Vec<Pair> = pairs().into_iter().filter(is_wanted).collect();
    assert!(pairs.len() >= wanted.len());
    pairs
}

#[test]
fn heads_agree_with_the_truth() {
    for (name, context) in shared_contexts() {
        for pair in with_products() {
            // Heads of some units, and of whole workgroups; one sequence, and so many that a workgroup has eight of them.
            for (sizes, heads) in
                [([5, 2, 3, 4], 4), ([6, 3, 5, 36], 3), ([3, 9, 2, 64], 2), ([4, 1, 3, 24], 3), ([4, 3, 3, 40], 5), ([2, 1290, 1, 32], 4)]
            {
                if sizes[1] > 100 && pair.cell.name() != Cell::lstm().name() {
                    continue;
                }
                let mut case = Case::random(&pair, sizes, 6);
                case.heads = heads;
                case.problem.set_heads(heads);
                case.problem.reverse = heads == 3;
                case.problem.lengths[0] -= 1;
                case.check(&name, &context, TOLERANCE);
                case.check_gradients(&name, &context, TOLERANCE);
            }
        }
    }
}

/// As `TrainOptions::weight_dropout` draws: PCG4D (Jarzynski and Olano 2020), its four lanes at once.
fn random_word(numbers: [u32; 4]) -> u32 {
    let mut v = numbers.map(|n| n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    for round in 0..2 {
        let old = v;
        for (k, (a, b)) in [(1, 3), (2, 0), (0, 1), (1, 2)].into_iter().enumerate() {
            v[k] = v[k].wrapping_add(old[a].wrapping_mul(old[b]));
        }
        if round == 0 {
            v = v.map(|n| n ^ (n >> 16));
        }
    }
    v[0]
}

/// The seed is that of [`Case::train`].
fn drop_weights(case: &mut Case, odds: f32) {
    let p = &mut case.problem;
    let columns = case.pair.truth.projection.unwrap_or(p.hidden);
    let size = columns / case.heads;
    let least = (f64::from(odds) * 4_294_967_296.0) as u32;
    let count = p.values.get("weight_hh").len();
    let blocks = p.weight_mask.clone().unwrap_or(vec![1.0; count]);
    let factor = |i: usize| {
        let column = i % columns % size;
        if random_word([7, (i / columns) as u32, column as u32, 2]) < least { 0.0 } else { f64::from(1.0 / (1.0 - odds)) }
    };
    let mask: Vec<f64> = (0..count).map(|i| blocks[i] * factor(i)).collect();
    assert!(count < 50 || mask.contains(&0.0) && mask.iter().any(|&x| x > 1.0));
    p.weight_mask = Some(mask);
    case.weight_dropout = odds;
}

#[test]
fn dropped_weights_agree_with_the_truth_of_their_mask() {
    for (name, context) in shared_contexts() {
        for pair in with_products().into_iter().chain(projected(5)) {
            for odds in [0.25, 0.7] {
                for heads in [1, 3] {
                    if heads > 1 && pair.truth.projection.is_some() {
                        continue;
                    }
                    let mut case = Case::random(&pair, [6, 3, 4, 18], 9);
                    case.heads = heads;
                    if heads > 1 {
                        case.problem.set_heads(heads);
                    }
                    case.problem.lengths = vec![6, 2, 5];
                    drop_weights(&mut case, odds);
                    case.check_gradients(&name, &context, TOLERANCE);
                }
            }
        }
    }
}

#[test]
fn weights_are_dropped_in_training_only_and_by_the_seed() {
    for (name, context) in shared_contexts() {
        let [pair, ..] = &with_products()[..] else { panic!("no cell") };
        let case = Case::random(pair, [4, 2, 3, 16], 2);
        let (layer, x) = (case.layer(&context), case.x(&context));
        let train = |weight_dropout, seed| {
            let options = TrainOptions { weight_dropout, seed, ..TrainOptions::default() };
            layer.train_blocking(&x, &options).unwrap().0.to_vec_blocking().unwrap()
        };
        let plain = layer.run_blocking(&x, &RunOptions::default()).unwrap().0.to_vec_blocking().unwrap();
        assert_eq!(train(0.0, 1), plain, "{name}");
        assert_ne!(train(0.5, 1), plain, "{name}");
        assert_eq!(train(0.5, 1), train(0.5, 1), "{name}");
        assert_ne!(train(0.5, 1), train(0.5, 2), "{name}");
        for odds in [-0.1, 1.0, f32::NAN] {
            let options = TrainOptions { weight_dropout: odds, ..TrainOptions::default() };
            let error = layer.train_blocking(&x, &options).unwrap_err();
            assert!(matches!(error, Error::Value { argument: "weight_dropout", .. }), "{error}");
        }
    }
}

#[test]
fn what_cannot_be_projected_or_divided_is_named() {
    let gpu = Context::cpu();
    let weights = |cell: &Cell, columns: usize| -> (Vec<f32>, Vec<f32>) {
        (vec![0.1; cell.gates().len() * 4 * 3], vec![0.1; cell.recurrent().len() * 4 * columns])
    };
    let projected = |cell: &Cell, columns: usize, weight_hr: &[f32]| {
        let (weight_ih, weight_hh) = weights(cell, columns);
        let weights =
            LayerWeights { input_size: 3, hidden_size: 4, weight_ih: &weight_ih, weight_hh: &weight_hh, bias: None, parameters: &[] };
        Layer::projected(&gpu, cell, &weights, weight_hr)
    };
    for cell in [Cell::gru(), Cell::li_gru(), Cell::qrnn(), Cell::sli_gru()] {
        let error = projected(&cell, 2, &[0.1; 8]).unwrap_err();
        assert!(matches!(error, Error::Value { argument: "cell", .. }), "{error}");
    }
    for bad in [&[0.1; 9][..], &[], &[0.1; 20]] {
        let error = projected(&Cell::lstm(), 2, bad).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "weight_hr", .. }), "{error}");
    }
    let error = projected(&Cell::lstm(), 4, &[0.1; 8]).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "weight_hh", .. }) && error.to_string().contains("[16, 2]"), "{error}");

    let layer = projected(&Cell::lstm(), 2, &[0.1; 8]).unwrap();
    assert_eq!((layer.output_size(), layer.hidden_size()), (2, 4));
    let error = layer.clone().with_zoneout(0.1, 0.0).unwrap_err();
    assert!(matches!(error, Error::Value { argument: "zoneout of h", .. }), "{error}");
    let x = Tensor::from_slice(&gpu, &[1, 5, 3], &[0.5; 15]).unwrap();
    let dense = weft::recurrent::State::zeros(&gpu, &Cell::lstm(), 5, 4).unwrap();
    let error = layer.forward_blocking(&x, None, Some(&dense)).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "state", .. }) && error.to_string().contains("h [5, 2]"), "{error}");

    let heads = |cell: &Cell, heads: usize| {
        let (weight_ih, weight_hh) = weights(cell, 4 / heads.max(1));
        let weights =
            LayerWeights { input_size: 3, hidden_size: 4, weight_ih: &weight_ih, weight_hh: &weight_hh, bias: None, parameters: &[] };
        Layer::block_diagonal(&gpu, cell, &weights, heads)
    };
    assert!(heads(&Cell::s_lstm(ForgetGate::Sigmoid), 2).is_ok());
    for bad in [0, 3] {
        let error = heads(&Cell::lstm(), bad).unwrap_err();
        assert!(matches!(error, Error::Value { argument: "heads", .. }), "{error}");
    }
    let error = heads(&Cell::qrnn(), 2).unwrap_err();
    assert!(matches!(error, Error::Value { argument: "cell", .. }), "{error}");
}

/// No sequences, no frames, and sequences without frames: states go through.
#[test]
fn a_projected_h_of_nothing() {
    for (name, context) in shared_contexts() {
        let [pair, ..] = &projected(2)[..] else { panic!("no cell") };
        for sizes in [[0, 2, 3, 4], [3, 0, 3, 4]] {
            let case = Case::random(pair, sizes, 1);
            let pull = case.problem.random_pull(1);
            let (given, gradients) = case.train(&context, &pull).unwrap();
            assert!(given.y.is_empty(), "{name}");
            assert_eq!(given.states[0], case.problem.values.f32("h"), "{name}");
            let expected: Vec<f32> = pull.states[0].iter().map(|&x| x as f32).collect();
            assert_eq!(gradients.state.h_blocking().unwrap(), expected, "{name}");
            assert!(gradients.weight_hr.unwrap().to_vec_blocking().unwrap().iter().all(|&x| x == 0.0), "{name}");
        }
    }
}

/// What dy and x hold past the ends reaches nothing.
#[test]
fn padding_of_a_projected_layer_may_be_nan() {
    for (name, context) in shared_contexts() {
        for pair in projected(3) {
            let mut case = Case::random(&pair, [5, 3, 2, 9], 8);
            case.problem.lengths = vec![5, 0, 2];
            let mut pull = case.problem.random_pull(3);
            let (given, gradients) = case.train(&context, &pull).unwrap();
            let bits = |values: Vec<f32>| -> Vec<u32> { values.iter().map(|x| x.to_bits()).collect() };
            for (t, n) in (0..5).flat_map(|t| (0..3).map(move |n| (t, n))).filter(|&(t, n)| t >= case.problem.lengths[n]) {
                case.problem.values.get_mut("x")[(t * 3 + n) * 2..][..2].fill(f64::NAN);
                pull.y[(t * 3 + n) * 3..][..3].fill(f64::NAN);
            }
            let (spoilt, spoilt_gradients) = case.train(&context, &pull).unwrap();
            assert_eq!(bits(given.y), bits(spoilt.y), "{name}");
            let all = |gradients: weft::recurrent::Gradients| {
                let h = gradients.state.h_blocking().unwrap();
                let tensors =
                    [gradients.x.unwrap(), gradients.weight_ih, gradients.weight_hh, gradients.weight_hr.unwrap(), gradients.units];
                tensors.iter().flat_map(|tensor| tensor.to_vec_blocking().unwrap()).chain(h).collect::<Vec<f32>>()
            };
            assert_eq!(bits(all(gradients)), bits(all(spoilt_gradients)), "{name}");
        }
    }
}

/// All steps by one launch, where the matrix was made.
#[test]
fn by_workgroups_that_run_together() {
    for (name, context) in contexts_with(|options| options.with_workgroups_together(2)) {
        for pair in projected(7) {
            let mut case = Case::random(&pair, [9, 3, 5, 24], 11);
            case.problem.lengths = vec![9, 4, 0];
            drop_weights(&mut case, 0.25);
            case.check_gradients(&name, &context, TOLERANCE);
            let plan = case.layer(&context).plan(9, 3).unwrap().to_string();
            assert_eq!(plan.contains("cell_persistent"), context.caps().together > 0, "{name}: {plan}");
        }
        let mut case = Case::random(&Pair { cell: Cell::lstm(), truth: truth::Cell::lstm() }, [9, 3, 5, 24], 12);
        case.heads = 4;
        case.problem.set_heads(4);
        case.check_gradients(&name, &context, TOLERANCE);
    }
}

/// PyTorch's names.
#[test]
fn a_file_with_a_projection_or_blocks() {
    let gpu = Context::cpu();
    let tensors: Vec<(&str, Vec<usize>)> = vec![("weight_ih_l0", vec![16, 3]), ("weight_hh_l0", vec![16, 2]), ("weight_hr_l0", vec![2, 4])];
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, shape)| vec![0u8; 4 * shape.iter().product::<usize>()]).collect();
    let file = |count: usize| {
        let views = tensors.iter().zip(&bytes).take(count).map(|((name, shape), bytes)| {
            (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
        });
        weft::Weights::from_bytes(safetensors::serialize(views, None).unwrap()).unwrap()
    };
    let layer = Layer::load(&gpu, &Cell::lstm(), &file(3), "").unwrap();
    assert_eq!([layer.input_size(), layer.hidden_size(), layer.output_size()], [3, 4, 2]);
    assert_eq!(layer.trainable().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["weight_ih", "weight_hh", "units", "weight_hr"]);
    let stack = weft::recurrent::Stack::load(&gpu, &Cell::lstm(), &file(3), "").unwrap();
    assert_eq!(stack.output_size(), 2);
    // Without the projection it is not guessed to be something else.
    let error = Layer::load(&gpu, &Cell::lstm(), &file(2), "").unwrap_err();
    assert!(matches!(error, Error::Weights { .. }) && error.to_string().contains("expected [4 H, H]"), "{error}");
    let layer = Layer::load_block_diagonal(&gpu, &Cell::lstm(), &file(2), "", 2).unwrap();
    assert_eq!([layer.hidden_size(), layer.output_size()], [4, 4]);
    assert_eq!(layer.trainable()[1].1.shape(), [16, 2]);
}

/// Cells that carry what is projected, m, not h.
fn carrying_m(outputs: usize) -> Vec<Pair> {
    let pair = |cell, truth| Pair { cell, truth: truth::Cell { projection: Some(outputs), ..truth } };
    let each = LstmOptions { layer_norm: Some(NormSpan::Gate), peepholes: true, ..LstmOptions::default() }.build().unwrap();
    let norm = Some(truth::Norm::Layer { eps: 1e-5, each_gate: true });
    let each_truth = truth::Cell { peepholes: true, norm_ih: norm, norm_hh: norm, ..truth::Cell::layer_norm_lstm() };
    let rnn = pair(Cell::rnn(Activation::Tanh).unwrap(), truth::Cell::rnn(truth::Activation::Tanh));
    vec![pair(Cell::layer_norm_lstm(), truth::Cell::layer_norm_lstm()), pair(each, each_truth), rnn]
}

/// From first states of zero: m W_hr is h there too.
#[test]
fn cells_that_carry_what_is_projected() {
    for (name, context) in shared_contexts().into_iter().chain(contexts_with(|options| options.with_workgroups_together(2))) {
        for pair in carrying_m(5) {
            for reverse in [false, true] {
                let mut case = Case::random(&pair, [9, 4, 3, 18], 13);
                case.problem.reverse = reverse;
                case.problem.lengths = vec![9, 0, 3, 6];
                case.problem.resets = vec![(3, 0), (2, 3)];
                let states = pair.truth.states();
                for state in states {
                    case.problem.values.get_mut(state).fill(0.0);
                }
                let p = &case.problem;
                let mut pull = p.random_pull(4);
                pull.states.clear();
                let (solution, expected) = (p.solve(), p.gradients(&pull));
                let (layer, x) = (case.layer(&context), case.x(&context));
                let run = RunOptions { lengths: Some(&p.lengths), resets: &p.resets, ..RunOptions::default() };
                let (y, state, tape) = layer.train_blocking(&x, &TrainOptions { run, ..TrainOptions::default() }).unwrap();
                assert_eq!(state.tensor().shape(), [states.len(), 4, 18]);
                let what = format!("{name} {}", pair.cell.name());
                assert_close(&format!("{what}: y"), &y.to_vec_blocking().unwrap(), &solution.y, 4e-5, 4e-5);
                if states.len() > 1 {
                    assert_close(&format!("{what}: c"), &state.read_blocking(1).unwrap(), &solution.states[1], 4e-5, 4e-5);
                }
                let dy: Vec<f32> = pull.y.iter().map(|&x| x as f32).collect();
                let dy = Tensor::from_slice(&context, y.shape(), &dy).unwrap();
                let gradients = layer.backward_blocking(&tape, &dy, None).unwrap();
                for (part, got) in [
                    ("x", gradients.x.as_ref().unwrap()),
                    ("weight_ih", &gradients.weight_ih),
                    ("weight_hh", &gradients.weight_hh),
                    ("weight_hr", gradients.weight_hr.as_ref().unwrap()),
                    ("bias_ih", &gradients.bias_ih),
                ] {
                    let expected = expected.get(part);
                    let largest = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
                    let got = got.to_vec_blocking().unwrap();
                    assert_close(&format!("{what}: gradient of {part}"), &got, expected, 8e-5 * largest, 0.0);
                }
            }
        }
    }
}

/// In two pieces, forward and back: the state m has its gradient, through which those of the first piece are those of the whole.
#[test]
fn cells_that_carry_what_is_projected_in_pieces() {
    for (name, context) in shared_contexts() {
        for pair in carrying_m(6) {
            let case = Case::random(&pair, [8, 2, 3, 12], 14);
            // The whole and its pieces by the same tier: each sums in an order of its own.
            let layer = case.layer(&context).with_tier(Tier::Stepped);
            let x = case.problem.values.f32("x");
            let pull: Vec<f32> = case.problem.random_pull(5).y.iter().map(|&x| x as f32).collect();
            let tensor =
                |frames: usize, columns: usize, values: &[f32]| Tensor::from_slice(&context, &[frames, 2, columns], values).unwrap();
            let train = |frames: usize, values: &[f32], state: Option<&weft::recurrent::State>| {
                let mut options = TrainOptions::default();
                options.run.state = state;
                layer.train_blocking(&tensor(frames, 3, values), &options).unwrap()
            };
            let read = |tensor: &Tensor| tensor.to_vec_blocking().unwrap();
            let (y, _, tape) = train(8, &x, None);
            let whole = layer.backward_blocking(&tape, &tensor(8, 6, &pull), None).unwrap();

            let (first_y, state, first) = train(5, &x[..30], None);
            let (second_y, _, second) = train(3, &x[30..], Some(&state));
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
            assert_eq!(bits(&[read(&first_y), read(&second_y)].concat()), bits(&read(&y)), "{name}: the same bits");
            let second = layer.backward_blocking(&second, &tensor(3, 6, &pull[60..]), None).unwrap();
            let first = layer.backward_blocking(&first, &tensor(5, 6, &pull[..60]), Some(&second.state)).unwrap();
            for (part, [a, b, whole]) in [
                ("weight_hh", [&first.weight_hh, &second.weight_hh, &whole.weight_hh]),
                ("weight_hr", [&first, &second, &whole].map(|gradients| gradients.weight_hr.as_ref().unwrap())),
            ] {
                let sum: Vec<f32> = read(a).iter().zip(read(b)).map(|(a, b)| a + b).collect();
                let whole: Vec<f64> = read(whole).iter().map(|&x| f64::from(x)).collect();
                let largest = whole.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
                assert_close(&format!("{name}: gradient of {part}"), &sum, &whole, 2e-5 * largest, 0.0);
            }
        }
    }
}
