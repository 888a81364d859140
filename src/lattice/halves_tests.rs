//! Batches in halves: the same bits as whole ones, on every device.

use super::{Blank, Gradients, Kind, Logits, LossBatch, LossOutput, LossShape, Status, TransducerLoss};
use crate::device::Caps;
use crate::{Context, ContextOptions, Tensor};

const FRAMES: usize = 13;
const POSITIONS: usize = 5;
const VOCAB: usize = 6;

/// Lengths of frames and labels: of one utterance nothing, of the others something.
const LENGTHS: [(u32, u32); 7] = [(13, 4), (5, 4), (0, 1), (13, 0), (9, 2), (1, 1), (12, 3)];

fn contexts() -> Vec<Context> {
    match Context::new_blocking(ContextOptions::from_env().with_shader_checks(true)) {
        Ok(gpu) => vec![Context::cpu(), gpu],
        Err(error) if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") => {
            println!("{error}");
            vec![Context::cpu()]
        }
        Err(error) => panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"),
    }
}

/// Logits of all utterances, one of which has a NaN.
fn logits() -> Vec<f32> {
    let cells = LENGTHS.len() * FRAMES * POSITIONS;
    let mut logits: Vec<f32> = (0..cells * VOCAB).map(|i| ((i * 7919 % 1009) as f32 / 200.0).sin() * 3.0).collect();
    logits[5 * FRAMES * POSITIONS * VOCAB + 1] = f32::NAN;
    logits
}

fn run(context: &Context, kind: Kind, gradients: Gradients, halved: bool) -> (LossOutput, Vec<Vec<f32>>) {
    let logits = Tensor::from_slice(context, &[LENGTHS.len(), FRAMES, POSITIONS, VOCAB], &logits()).unwrap();
    let mut loss = TransducerLoss::of(kind).gradients(gradients).build(context).unwrap();
    loss.options.always_halved = halved;
    let targets: Vec<u32> = (0..LENGTHS.len() * (POSITIONS - 1)).map(|i| 1 + i as u32 % 5).collect();
    let (frames, labels): (Vec<u32>, Vec<u32>) = LENGTHS.iter().copied().unzip();
    let batch = LossBatch::new(Logits::padded(&logits), &targets, &frames, &labels);
    let output = loss.run_blocking(&batch).unwrap();
    let gradients = output.gradients.iter().map(|tensor| tensor.to_vec_blocking().unwrap()).collect();
    (output, gradients)
}

#[test]
fn halves_have_the_bits_of_whole_batches() {
    for context in contexts() {
        for kind in [Kind::rnnt(Blank(0)), Kind::hat(Blank(0)), Kind::monotonic(Blank(0))] {
            for gradients in [Gradients::None, Gradients::Separate, Gradients::InPlace] {
                let (whole, one) = run(&context, kind.clone(), gradients, false);
                let (halves, both) = run(&context, kind.clone(), gradients, true);
                let bits = |costs: &[f32]| costs.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&whole.costs), bits(&halves.costs), "{kind:?}");
                assert_eq!(whole.status, halves.status, "{kind:?}");
                assert_eq!(halves.status[2], Status::Empty);
                assert_eq!(halves.status[5], Status::NonFinite);
                assert_eq!(one.iter().map(|x| bits(x)).collect::<Vec<_>>(), both.iter().map(|x| bits(x)).collect::<Vec<_>>(), "{kind:?}");
            }
        }
    }
}

#[test]
fn long_batches_are_halved_and_take_no_more_workspace() {
    let loss = TransducerLoss::rnnt(Blank(0)).gradients(true).build(&Context::cpu()).unwrap();
    let caps = Caps { max_buffer_bytes: 1 << 32, max_binding_bytes: 1 << 32, ..Caps::portable() };
    let plan = |utterances, frames| loss.plan(LossShape { utterances, frames, positions: 300, vocab: 50 }, &caps).unwrap();
    let (halved, short) = (plan(16, 1500), plan(16, 16));
    assert_eq!((halved.chunks().len(), halved.chunk(), short.chunks().len()), (2, 16, 1));
    for plan in [halved, short] {
        // A spare place has two words of each direction, and an anchor; a launch has parameters.
        assert!(plan.workspace_bytes() <= 22 * plan.cells() + 2 * 512 * 40 + 256 * plan.dispatches() as u64 + 16 * 16, "{plan}");
    }
}
