//! What `docs/choosing-a-lattice.md` tells of memory is what plans take.

use weft::lattice::{Blank, CtcLoss, CtcShape, Kind, LossShape, TransducerLoss, TransducerLossBuilder};
use weft::{Caps, Context};

const PAGE: &str = include_str!("../../docs/choosing-a-lattice.md");
/// The shape that the page names.
const SIDES: [usize; 3] = [1500, 300, 50];

/// Utterances of a batch: several, and no more than the smallest device holds.
const COUNT: usize = 2;

/// Bytes of workspace a cell.
fn of_transducer(loss: TransducerLossBuilder) -> f64 {
    let [frames, labels, vocab] = SIDES;
    let shape = LossShape { utterances: COUNT, frames, positions: labels + 1, vocab };
    let plan = loss.build(&Context::cpu()).unwrap().plan(shape, &Caps::portable()).unwrap();
    let params = plan.dispatches() as u64 * 256;
    assert!(params * 1000 < plan.workspace_bytes(), "launches are not what takes the memory");
    plan.workspace_bytes() as f64 / plan.cells() as f64
}

fn of_ctc(gradients: bool) -> f64 {
    let [frames, labels, vocab] = SIDES;
    let shape = CtcShape { utterances: COUNT, frames, labels, vocab };
    let plan = CtcLoss::new(Blank(0)).gradients(gradients).build(&Context::cpu()).unwrap().plan(shape, &Caps::portable()).unwrap();
    plan.workspace_bytes() as f64 / (COUNT * frames * (labels + 1)) as f64
}

#[test]
fn workspace_is_that_of_the_page() {
    let blank = Blank(0);
    let multi_blank = Kind::multi_blank(blank, &[(1, 2), (2, 4), (3, 8)]).unwrap();
    let tdt = Kind::tdt(blank, &[0, 1, 2, 3, 4]).unwrap();
    let loss = TransducerLoss::of;
    let transducers = [
        ("RNN-T, HAT, monotonic", loss(Kind::rnnt(blank))),
        ("constrained", loss(Kind::constrained(blank))),
        ("multi-blank, three big blanks", loss(multi_blank)),
        ("TDT, five durations", loss(tdt)),
        ("RNN-T with `min_latency`", loss(Kind::rnnt(blank)).min_latency(0.1)),
    ];
    let mut lines: Vec<(&str, [f64; 2])> = transducers
        .into_iter()
        .map(|(name, loss)| (name, [true, false].map(|wanted| of_transducer(loss.clone().gradients(wanted)))))
        .collect();
    lines.push(("CTC", [true, false].map(of_ctc)));
    let lines = lines.into_iter().map(|(name, [both, alone])| format!("| {name} | {both:.1} B | {alone:.1} B |"));
    let missing: Vec<String> = lines.filter(|line| !PAGE.contains(line)).collect();
    assert!(missing.is_empty(), "the page lacks\n{}", missing.join("\n"));
    let [frames, labels, vocab] = SIDES;
    assert!(PAGE.contains(&format!("T = {frames}, U = {labels}, V = {vocab}")));
}
