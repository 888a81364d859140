//! What makes no cell.

use weft::Error;
use weft::recurrent::cells::{Activation, Cell, CellBuilder, GruOptions, LiGruOptions, LstmOptions, Norm, NormSpan, Norms, Reset};

fn sound() -> CellBuilder {
    Cell::builder("test").gates(&["a", "b"]).recurrent(&["a", "b"]).states(&["h", "c"]).update(|u| vec![u.x[0] + u.r[0], u.s[1]])
}

fn refused(builder: CellBuilder) -> String {
    match builder.build() {
        Err(Error::Value { argument, value, .. }) => format!("{argument} = {value}"),
        Err(Error::LimitExceeded { what, need, have, .. }) => format!("{what}: {need} > {have}"),
        Err(Error::Shape { argument, expected, got }) => format!("{argument}: {got}, not {expected}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_cells() {
    assert!(sound().build().is_ok());
    let five = ["1", "2", "3", "4", "5"];
    assert_eq!(refused(sound().gates(&five)), "gates of a cell: 5 > 4");
    assert_eq!(refused(sound().recurrent(&five)), "recurrent rows of a cell: 5 > 4");
    assert_eq!(refused(sound().states(&five)), "states of a cell: 5 > 4");
    assert_eq!(refused(sound().params(&five)), "parameters of a cell: 5 > 4");
    assert_eq!(refused(sound().masks(&five)), "masks of a cell: 5 > 4");
    assert_eq!(refused(sound().gates(&[])), "gates = []");
    assert_eq!(refused(sound().states(&[])), "states = []");
    assert_eq!(refused(sound().gates(&["a", ""])), "gates = [1] = \"\"");
    assert_eq!(refused(sound().params(&["a", "a"])), "params = [1] = \"a\"");
    assert_eq!(refused(Cell::builder("none").gates(&["a"]).states(&["h"])), "update = none");
    assert_eq!(refused(sound().states(&["h"])), "update: 2 values, not 1 values, one for each state");
}

#[test]
fn expressions_of_what_is_not_there() {
    assert_eq!(refused(sound().update(|u| vec![u.x[2], u.s[1]])), "update = x2");
    assert_eq!(refused(sound().update(|u| vec![u.x[0], u.p[0] * u.s[1]])), "update = p0");
    assert_eq!(refused(sound().update(|u| vec![u.x[0], u.m[3]])), "update = m3");
    assert!(sound().update(|u| vec![u.x[0], u.m[3] * 0.0]).build().is_ok());
    assert_eq!(refused(sound().update(|u| vec![u.x[0] * f32::NAN, u.s[1]])), "constant = NaN");
    assert_eq!(refused(sound().mid(1, |u| u.r[1])), "mid = r1");
    assert!(sound().mid(1, |u| u.r[0]).build().is_ok());
    assert_eq!(refused(sound().mid(0, |u| u.x[0])), "mid = 0");
    assert_eq!(refused(sound().mid(3, |u| u.x[0])), "mid = 3");
}

#[test]
fn norms_and_outputs_need_each_other() {
    let norm = Norm { span: NormSpan::Gate, gain: true, bias: true, eps: 1e-5 };
    let of = |state: usize| Norms { state: Some((state, norm)), ..Norms::default() };
    assert_eq!(refused(sound().norms(of(1))), "output = alone");
    assert_eq!(refused(sound().output(|_, n| n)), "output = alone");
    assert!(sound().norms(of(1)).output(|_, n| n).build().is_ok());
    assert_eq!(refused(sound().norms(of(0)).output(|_, n| n)), "norms.state = 0");
    assert_eq!(refused(sound().norms(of(2)).output(|_, n| n)), "norms.state = 2");
    assert_eq!(refused(sound().norms(of(1)).output(|u, n| n * u.p[1])), "output = p1");
    for (eps, text) in [(0.0, "0"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let norms = Norms { recurrent: Some(Norm { eps, ..norm }), ..Norms::default() };
        assert_eq!(refused(sound().norms(norms)), format!("eps = {text}"));
    }
}

#[test]
fn bad_options() {
    fn value<T: std::fmt::Debug>(result: weft::Result<T>) -> String {
        match result {
            Err(Error::Value { argument, value, .. }) => format!("{argument} = {value}"),
            other => panic!("{other:?}"),
        }
    }
    let lstm = LstmOptions::default();
    assert_eq!(value(LstmOptions { cell_clip: Some(0.0), ..lstm }.build()), "cell_clip = 0");
    assert_eq!(value(LstmOptions { gate_clip: Some(-1.0), ..lstm }.build()), "gate_clip = -1");
    assert_eq!(value(LstmOptions { cell_clip: Some(f32::NAN), ..lstm }.build()), "cell_clip = NaN");
    assert_eq!(value(LstmOptions { output: Activation::Elu(f32::NAN), ..lstm }.build()), "constant = NaN");
    let gru = GruOptions { reset: Reset::Before, layer_norm: Some(NormSpan::Whole), ..GruOptions::default() };
    assert_eq!(value(gru.build()), "layer_norm = with Reset::Before");
    assert_eq!(value(GruOptions { gate_clip: Some(f32::INFINITY), ..GruOptions::default() }.build()), "gate_clip = inf");
    assert_eq!(value(Cell::rnn(Activation::HardSigmoid(f32::INFINITY, 0.0))), "constant = inf");
    assert_eq!(value(Cell::ind_rnn(Activation::LeakyRelu(f32::NAN))), "constant = NaN");
    assert_eq!(value(LiGruOptions { candidate: Activation::Affine(1.0, f32::NAN), ..LiGruOptions::default() }.build()), "constant = NaN");
}
