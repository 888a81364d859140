//! Input that is cut, because windows of buffers are small.

use crate::case::{Case, Pair, pairs};
use crate::common::contexts_with;
use crate::truth;
use weft::Context;
use weft::recurrent::cells::{InputNorm, LiGruOptions, Norm, NormSpan};

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
        for pair in pairs().into_iter().filter(|pair| pair.cell.states().len() as u64 == states) {
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

/// Norms of W x change the gradients of the gates, which the next stretch reads too.
#[test]
fn a_layer_norm_of_the_input_over_stretches() {
    for (name, context) in contexts(WINDOW) {
        for (span, each_gate) in [(NormSpan::Whole, false), (NormSpan::Gate, true)] {
            let norm = Norm { span, gain: true, bias: true, eps: Norm::EPS };
            let cell = LiGruOptions { input_norm: Some(InputNorm::Layer(norm)), ..LiGruOptions::default() }.build().unwrap();
            let truth = truth::Cell { norm_ih: Some(truth::Norm::Layer { eps: 1e-5, each_gate }), ..truth::Cell::li_gru() };
            for reverse in [false, true] {
                let mut case = Case::random(&Pair { cell: cell.clone(), truth }, SIZES, 12);
                case.problem.reverse = reverse;
                case.problem.lengths = vec![24, 13];
                case.check_gradients(&name, &context, 2e-5);
            }
        }
    }
}
