//! Multi-blank transducer, as NVIDIA/NeMo's `MultiblankRNNTLossPytorch`: six channels from burn's
//! generator, blank 5, big blanks of 2 and 4 frames in channels 4 and 3.

use super::check;
use crate::truth::{Kind, Lattice, Paths, sines};

fn first(big: &[(u32, usize)], sigma: f64) -> Lattice {
    Lattice::new(Kind::multi_blank(5, big, sigma), [4, 6], vec![1, 2], sines(0, [4, 3, 6]))
}

#[test]
fn big_blanks_2_4() {
    let big = [(4, 2), (3, 4)];
    check(&first(&[], 0.0), 8.291680736322236, &[]);
    check(&first(&big, 0.0), 4.8558310521396955, &[]);
    let sample = first(&big, 0.05);
    assert_eq!(Paths::of(&sample.graph()).all.len(), 32);
    #[rustfmt::skip]
    let gradients: [(usize, &[f64]); 2] = [
        (0, &[0.08663597, -0.44683491, 0.15237698, 0.18962378, -0.03987261, 0.05807078]),
        (66, &[0.03195597, 0.03329336, 0.03778888, 0.04620165, 0.05976413, -0.20900399]),
    ];
    check(&sample, 5.05683156649822, &gradients);
}

#[test]
fn five_frames() {
    let sample = Lattice::new(Kind::multi_blank(5, &[(4, 2), (3, 4)], 0.05), [5, 6], vec![0, 2], sines(1, [5, 3, 6]));
    assert_eq!(Paths::of(&sample.graph()).all.len(), 79);
    check(&sample, 4.981566081982141, &[(0, &[-0.33429287, 0.19030093, 0.19148735, 0.06540773, -0.03686727, -0.07603587])]);
}
