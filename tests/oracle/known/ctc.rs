//! CTC.

use crate::assert_near;
use crate::truth::Ctc;

/// tensorflow ctc_loss_op_test.py `testBasic` and mxnet test_loss.py `test_ctc_loss_grad`, both from Alex
/// Graves' implementation: T 5, V 6, blank 5.
#[test]
fn tensorflow_basic() {
    #[rustfmt::skip]
    let first = [
        0.633766, 0.221185, 0.0917319, 0.0129757, 0.0142857, 0.0260553,
        0.111121, 0.588392, 0.278779, 0.0055756, 0.00569609, 0.010436,
        0.0357786, 0.633813, 0.321418, 0.00249248, 0.00272882, 0.0037688,
        0.0663296, 0.643849, 0.280111, 0.00283995, 0.0035545, 0.00331533,
        0.458235, 0.396634, 0.123377, 0.00648837, 0.00903441, 0.00623107,
    ];
    #[rustfmt::skip]
    let second = [
        0.30176, 0.28562, 0.0831517, 0.0862751, 0.0816851, 0.161508,
        0.24082, 0.397533, 0.0557226, 0.0546814, 0.0557528, 0.19549,
        0.230246, 0.450868, 0.0389607, 0.038309, 0.0391602, 0.202456,
        0.280884, 0.429522, 0.0326593, 0.0339046, 0.0326856, 0.190345,
        0.423286, 0.315517, 0.0338439, 0.0393744, 0.0339315, 0.154046,
    ];
    // As many labels as frames, so one path; and a repeat, which needs a blank: one path too. Its symbol
    // of each frame has the probability less one as gradient.
    for (probabilities, target, cost, path) in
        [(first, vec![0, 1, 2, 1, 0], 3.34211, [0, 1, 2, 1, 0]), (second, vec![0, 1, 1, 0], 5.42262, [0, 1, 5, 1, 0])]
    {
        let ctc = Ctc::new(5, [5, 6], target, probabilities.map(f64::ln).to_vec());
        let solution = ctc.solve();
        assert_near("cost", &[solution.cost], &[cost], 1e-5);
        let mut gradient = probabilities;
        for (t, v) in path.into_iter().enumerate() {
            gradient[t * 6 + v] -= 1.0;
        }
        assert_near("gradient", &solution.gradient, &gradient, 2e-6);
    }
}

/// apache/mxnet tests/python/unittest/test_loss.py `test_ctc_loss`: T 20, V 4, all ones. Its numbers
/// are of f32: the first is 20 ln 4 - ln C(22, 4).
#[test]
fn mxnet_ones() {
    for (target, cost) in [(vec![2, 1], 18.82820702), (vec![3, 2, 2], 16.50581741)] {
        assert_near("cost", &[Ctc::new(0, [20, 4], target, vec![1.0; 80]).solve().cost], &[cost], 5e-6);
    }
}

/// baidu-research/warp-ctc tests/test_cpu.cpp `small_test`: one path through two frames.
#[test]
fn warp_ctc_small_test() {
    let ctc = Ctc::new(0, [2, 5], vec![1, 2], vec![0.1, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1]);
    let p = 0.6f64.exp() / (0.6f64.exp() + 4.0 * 0.1f64.exp());
    assert_near("cost", &[ctc.solve().cost], &[-2.0 * p.ln()], 1e-14);
}
