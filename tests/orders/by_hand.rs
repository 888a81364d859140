//! Orders written down by hand.

use crate::array;
use weft::recurrent::orders::{Gated, HostWeights, NamedArray, Order, export};

/// H 1, I 2, weights like their names: row of gate k is (k1, k2), its recurrent weight k3, its biases k4 and k5.
fn numbered(cell: Gated) -> HostWeights {
    let of = |digits: &[u8]| (1..=cell.gates()).flat_map(|gate| digits.iter().map(move |&d| (gate * 10) as f32 + f32::from(d))).collect();
    HostWeights {
        input_size: 2,
        hidden_size: 1,
        weight_ih: of(&[1, 2]),
        weight_hh: of(&[3]),
        bias: Some([of(&[4]), of(&[5])]),
        ..HostWeights::default()
    }
}

#[test]
fn orders_by_hand() {
    let exported = |order, cell| export(&[numbered(cell)], order, cell).unwrap();
    // Ours: i 1, f 2, g 3, o 4; r 1, z 2, n 3.
    assert_eq!(
        exported(Order::Onnx, Gated::Lstm),
        [
            array("W", &[1, 4, 2], &[11., 12., 41., 42., 21., 22., 31., 32.]),
            array("R", &[1, 4, 1], &[13., 43., 23., 33.]),
            array("B", &[1, 8], &[14., 44., 24., 34., 15., 45., 25., 35.]),
        ]
    );
    assert_eq!(exported(Order::Onnx, Gated::GruResetBefore)[1], array("R", &[1, 3, 1], &[23., 13., 33.]));
    assert_eq!(
        exported(Order::Keras, Gated::Lstm),
        [
            array("kernel", &[2, 4], &[11., 21., 31., 41., 12., 22., 32., 42.]),
            array("recurrent_kernel", &[1, 4], &[13., 23., 33., 43.]),
            array("bias", &[4], &[29., 49., 69., 89.]),
        ]
    );
    assert_eq!(
        exported(Order::Keras, Gated::GruResetAfter),
        [
            array("kernel", &[2, 3], &[21., 11., 31., 22., 12., 32.]),
            array("recurrent_kernel", &[1, 3], &[23., 13., 33.]),
            array("bias", &[2, 3], &[24., 14., 34., 25., 15., 35.]),
        ]
    );
    assert_eq!(exported(Order::Keras, Gated::GruResetBefore)[2], array("bias", &[3], &[49., 29., 69.]));
    assert_eq!(
        exported(Order::TfBasicLstm { forget_bias: 1.0 }, Gated::Lstm),
        [
            array("kernel", &[3, 4], &[11., 31., 21., 41., 12., 32., 22., 42., 13., 33., 23., 43.]),
            array("bias", &[4], &[29., 69., 48., 89.]),
        ]
    );
    assert_eq!(
        exported(Order::Haste, Gated::Lstm)[..2],
        [array("kernel", &[2, 4], &[11., 31., 21., 41., 12., 32., 22., 42.]), array("recurrent_kernel", &[1, 4], &[13., 33., 23., 43.]),]
    );
    assert_eq!(exported(Order::Haste, Gated::GruResetAfter)[3], array("recurrent_bias", &[3], &[25., 15., 35.]));
    assert_eq!(exported(Order::WebNn, Gated::Lstm)[1], array("recurrentWeight", &[1, 4, 1], &[13., 43., 23., 33.]));
    assert_eq!(exported(Order::WebNn, Gated::GruResetAfter)[3], array("recurrentBias", &[1, 3], &[25., 15., 35.]));
    assert_eq!(exported(Order::WebNnIfgo, Gated::Lstm)[1], array("recurrentWeight", &[1, 4, 1], &[13., 23., 33., 43.]));
    let peepholes = Some([vec![1.0], vec![2.0], vec![3.0]]);
    let with = export(&[HostWeights { peepholes, ..numbered(Gated::Lstm) }], Order::Onnx, Gated::Lstm).unwrap();
    assert_eq!(with[3], array("P", &[1, 3], &[1.0, 3.0, 2.0]));
    let names = |arrays: Vec<NamedArray>| arrays.into_iter().map(|array| array.name).collect::<Vec<_>>();
    let two = [numbered(Gated::Rnn), numbered(Gated::Rnn)];
    assert_eq!(
        names(export(&two, Order::PyTorch { layer: 2 }, Gated::Rnn).unwrap()),
        [
            "weight_ih_l2",
            "weight_hh_l2",
            "bias_ih_l2",
            "bias_hh_l2",
            "weight_ih_l2_reverse",
            "weight_hh_l2_reverse",
            "bias_ih_l2_reverse",
            "bias_hh_l2_reverse"
        ]
    );
}
