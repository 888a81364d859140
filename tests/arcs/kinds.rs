//! Every kind in a few shapes; and kinds that nobody has a name for.

use crate::common::Lcg;
use crate::truth::Head;
use crate::{Arc, BLANK, Batch, Kind, Pair, Token, all_kinds};

#[test]
fn every_kind_against_the_truth() {
    for (name, pair) in all_kinds() {
        for (seed, shape) in [[2, 5, 4, 7], [1, 1, 1, 6], [1, 1, 3, 8], [2, 9, 1, 7], [1, 12, 6, 33], [1, 3, 9, 9]].into_iter().enumerate()
        {
            Batch::random(seed as u64, &pair, shape).check(&format!("{name} {shape:?}"));
        }
    }
}

#[test]
fn every_kind_in_a_ragged_batch() {
    for (seed, (name, pair)) in all_kinds().into_iter().enumerate() {
        let batch = Batch::random(seed as u64, &pair, [6, 11, 5, 8]);
        batch.with_lengths(&[11, 0, 4, 1, 7, 10], &[4, 2, 0, 1, 4, 3]).check(name);
    }
}

/// Up to nine arcs, among them a blank and a label.
fn random_kind(numbers: &mut Lcg, vocab: u32) -> Pair {
    let mut below = |n: u32| ((f64::from(numbers.next()) + 1.0) / 2.0 * f64::from(n)) as u32 % n;
    let durations: Vec<u32> = (0..below(4)).collect();
    let mut arcs = vec![Arc::stay(1, BLANK.0), Arc::label(below(2))];
    for _ in 0..below(8) {
        let labels = below(2);
        let token = match below(4) {
            0 => Token::None,
            3 => Token::Others,
            1 if labels == 1 => Token::NextLabel,
            // The last symbols are labels.
            _ => Token::Symbol(below(vocab - 2)),
        };
        arcs.push(Arc {
            frames: below(4).max(1 - labels),
            labels,
            token,
            duration: (!durations.is_empty() && below(2) == 0).then(|| below(durations.len() as u32)),
            then: (labels == 1 && below(3) == 0).then(|| below(vocab)),
            constant: -(below(10) as f32) / 8.0,
            may_end: below(2) == 0,
        });
    }
    let sigma = below(3) as f32 / 10.0;
    let count = durations.len();
    let kind = Kind::custom(BLANK, arcs, durations).unwrap().under_normalised(sigma).unwrap();
    Pair::new(kind, Head::Softmax, sigma, count)
}

#[test]
fn random_kinds_against_the_truth() {
    let mut numbers = Lcg(7);
    for round in 0..40 {
        let pair = random_kind(&mut numbers, 9);
        let shape = [2, 2 + round % 7, 1 + round % 5, 9];
        Batch::random(round as u64, &pair, shape).check(&format!("random {round} {:?}", pair.kind.arcs()));
    }
}
