//! Input that is cut, because windows of buffers are small.

use crate::case::{Case, Pair, batch_normed, pairs};
use crate::common::{assert_close, contexts_with};
use crate::truth;
use weft::recurrent::TrainOptions;
use weft::{Context, Error, Tensor};

/// T, N, I, H.
const SIZES: [usize; 4] = [24, 2, 3, 9];

/// What one state takes of all frames, and a third more: the gates of most cells take more than that.
const WINDOW: u64 = 4 * 25 * 2 * 9 * 4 / 3;

fn contexts(window: u64) -> Vec<(String, Context)> {
    contexts_with(|options| options.with_max_binding_bytes(window))
}

#[test]
fn values_and_gradients_do_not_depend_on_stretches() {
    for states in [1, 2, 4] {
        let contexts = contexts(states * WINDOW);
        let is_batch_norm = |pair: &Pair| pair.truth.norm_ih == Some(truth::Norm::RUNNING);
        for pair in pairs().into_iter().filter(|pair| pair.cell.states().len() as u64 == states && !is_batch_norm(pair)) {
            for (name, context) in &contexts {
                for reverse in [false, true] {
                    let mut case = Case::random(&pair, SIZES, 10);
                    case.problem.reverse = reverse;
                    case.problem.lengths = vec![24, 13];
                    case.problem.resets = vec![(7, 0), (8, 1)];
                    case.check_gradients(name, context, 2e-5);
                    let plan = case.layer(context).plan(24, 2).unwrap().to_string();
                    let gates = 24 * 2 * 9 * 4 * pair.cell.gates().len() as u64;
                    assert!(gates <= states * WINDOW || plan.matches("dense_gemm").count() > 1, "{name}: {plan}");
                }
            }
        }
    }
}

/// Its moments are those of all stretches; its gradient takes all gates at once.
#[test]
fn a_batch_norm_over_stretches() {
    for (name, context) in contexts(WINDOW) {
        let truth = truth::Cell { norm_ih: Some(truth::Norm::RUNNING), ..truth::Cell::li_gru() };
        let case = Case::random(&Pair { cell: batch_normed(false, false), truth }, SIZES, 11);
        let layer = case.layer(&context);
        let state = case.state(&context);
        let mut options = TrainOptions::default();
        options.run.state = Some(&state);
        let (y, _, tape) = layer.train_blocking(&case.x(&context), &options).unwrap();
        assert_close(&format!("{name}: y"), &y.to_vec_blocking().unwrap(), &case.trained().solve().y, 4e-5, 4e-5);
        let dy = Tensor::zeros(&context, y.shape(), weft::DType::F32).unwrap();
        let error = layer.backward_blocking(&tape, &dy, None).unwrap_err();
        assert!(matches!(error, Error::LimitExceeded { .. }), "{error}");
    }
}
