//! Token-and-duration transducer.

use super::check;
use crate::truth::{Kind, Lattice, Paths, sines};
use crate::{Solve, assert_near};

/// NVIDIA/NeMo test_rnnt_pytorch.py `TestTDTLoss::test_case_fixed_case_act_label`: all zeros.
#[test]
fn nemo_fixed_case_act_label() {
    let fixed = Lattice::new(Kind::tdt(3, &[0, 1, 2], 0.05), [3, 4], vec![0], vec![0.0; 3 * 2 * 7]);
    // The source prints 4.155739.
    check(&fixed, 4.155738825069801, &[]);
    assert_eq!(Paths::of(&fixed.graph()).all.len(), 11);
    #[rustfmt::skip]
    let expected = [
        -0.64962798, 0.25, 0.25, 0.14962798, 0.26725832, -0.16792617, -0.09933215,
        0.01651875, 0.01651875, 0.01651875, -0.04955626, 0.022025, -0.01227201, -0.00975299,
        -0.0489265, 0.01714851, 0.01714851, 0.01462949, -0.01143234, -0.01143234, 0.02286467,
        0.12531488, 0.12531488, 0.12531488, -0.37594463, 0.1670865, 0.13027048, -0.29735698,
        -0.02572276, 0.00857425, 0.00857425, 0.00857425, -0.02286467, 0.01143234, 0.01143234,
        0.13388913, 0.13388913, 0.13388913, -0.40166739, 0.17851884, -0.35703768, 0.17851884,
    ];
    assert_near("gradient", &fixed.solved().gradient, &expected, 1e-8);
}

/// burn's generator, tokens 0..=3 with blank 3, then durations 0, 1, 2.
fn first(sigma: f64) -> Lattice {
    Lattice::new(Kind::tdt(3, &[0, 1, 2], sigma), [4, 4], vec![1, 2], sines(0, [4, 3, 7]))
}

#[test]
fn durations_0_1_2() {
    check(&first(0.0), 5.645177250485796, &[]);
    let sample = first(0.05);
    assert_eq!(Paths::of(&sample.graph()).all.len(), 69);
    #[rustfmt::skip]
    let gradients: [(usize, &[f64]); 2] = [
        (0, &[0.15894749, -0.60001695, 0.27955984, 0.16150963, 0.13207763, -0.08158858, -0.05048905]),
        (77, &[0.09780721, 0.10190055, 0.11565992, -0.31536768, 0.11034156, -0.30919684, 0.19885528]),
    ];
    check(&sample, 5.813881474651289, &gradients);
}

#[test]
fn durations_1_2() {
    let sample = Lattice::new(Kind::tdt(3, &[1, 2], 0.05), [5, 4], vec![1, 2], sines(0, [5, 3, 6]));
    check(&sample, 4.899616767331478, &[(0, &[0.15894749, -0.60500515, 0.27955984, 0.16649783, 0.0152698, -0.0152698])]);
}

#[test]
fn durations_0_to_4() {
    let sample = Lattice::new(Kind::tdt(3, &[0, 1, 2, 3, 4], 0.05), [6, 4], vec![2, 0, 1], sines(1, [6, 4, 9]));
    assert_eq!(Paths::of(&sample.graph()).all.len(), 1777);
    #[rustfmt::skip]
    let gradient = [0.23681209, 0.26021529, -0.69917157, 0.20214418, -0.20409433, -0.07736332, 0.07795545, 0.10847669, 0.09502551];
    check(&sample, 7.885740138428768, &[(0, &gradient)]);
}
