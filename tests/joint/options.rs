//! Options of the loss, through a joiner: what they are with all logits.

use crate::bands::diagonal;
use crate::case::Case;
use crate::common::shared_contexts;
use crate::kinds::kinds;
use weft::lattice::{FastEmit, Reduction, TransducerLossBuilder, WILDCARD};

type Options = fn(TransducerLossBuilder) -> TransducerLossBuilder;

const OPTIONS: [(&str, Options); 9] = [
    ("none", |builder| builder),
    ("FastEmit", |builder| builder.fast_emit(FastEmit::CostUnchanged(0.3))),
    ("FastEmit in the cost", |builder| builder.fast_emit(FastEmit::CostScaled(0.3))),
    ("delay penalty", |builder| builder.delay_penalty(0.05)),
    ("penalty of a symbol", |builder| builder.delay_penalty(0.02).eos_penalty(2, 0.1)),
    ("minimum latency", |builder| builder.min_latency(0.2)),
    ("clamp", |builder| builder.clamp(0.05)),
    ("wildcards", |builder| builder.wildcard(0.7)),
    ("all", |builder| {
        builder.fast_emit(FastEmit::CostScaled(0.1)).delay_penalty(0.1).min_latency(0.1).clamp(0.1).wildcard(0.5).reduction(Reduction::Mean)
    }),
];

fn check(lengths: &[[usize; 2]], bands: Option<Vec<Vec<[u32; 2]>>>) {
    for row in kinds() {
        for ((options_name, options), widths) in OPTIONS.into_iter().flat_map(|one| [(one, [3, 0, 6]), (one, [0, 0, 0])]) {
            let mut case = Case { options, bands: bands.clone(), ..Case::new(&row, lengths, widths, 11) };
            if matches!(options_name, "wildcards" | "all") {
                case.targets.iter_mut().filter_map(|target| target.get_mut(1)).for_each(|label| *label = WILDCARD);
            }
            for (name, context) in shared_contexts() {
                case.check_with_logits(&format!("{options_name}, {widths:?}, {}, {name}", row.name), &context);
            }
        }
    }
}

#[test]
fn all_rows() {
    check(&[[6, 3], [4, 0], [9, 2], [0, 1]], None);
}

#[test]
fn rows_of_bands() {
    let lengths = [[14, 11], [0, 2], [12, 9]];
    check(&lengths, Some(diagonal(&lengths, 2)));
}
