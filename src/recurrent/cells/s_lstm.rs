//! The sLSTM.

use super::{Cell, CellBuilder};

/// The activation of the forget gate of an sLSTM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForgetGate {
    /// σ, as the xLSTM's authors train it.
    #[default]
    Sigmoid,
    /// exp
    Exponential,
}

impl Cell {
    /// The sLSTM (Beck et al. 2024, arXiv:2405.04517): gates i, f, z, o with exponential i; states h, c, the normaliser n and
    /// the stabiliser m, all 0 at first. With a = x + r:
    /// ```text
    /// m' = max(log f + m, a_i)                  a_i where n = 0: an empty unit has no scale
    /// i' = exp(a_i - m')   f' = exp(log f + m - m')   log f = log σ(a_f), or a_f
    /// c' = f' c + i' tanh(a_z)   n' = f' n + i'   h' = σ(a_o) c' / n'
    /// ```
    /// What a unit with n = 0 has in c is forgotten. Nothing overflows: both exponentials are at most 1, and n' at least 1
    /// when m' began with it.
    pub fn s_lstm(forget: ForgetGate) -> Self {
        builder(forget).assemble()
    }
}

fn builder(forget: ForgetGate) -> CellBuilder {
    let gates = &["input", "forget", "cell", "output"];
    Cell::builder("sLSTM").gates(gates).recurrent(gates).states(&["h", "c", "n", "m"]).update(move |u| {
        let a = |lane: usize| u.x[lane] + u.r[lane];
        let [_, c, n, m] = u.s;
        let zero = n.constant(0.0);
        let log_f = match forget {
            ForgetGate::Sigmoid => -(-a(1)).softplus(),
            ForgetGate::Exponential => a(1),
        };
        let kept = log_f + m;
        let m = zero.less(n, kept.max(a(0)), a(0));
        let i = (a(0) - m).exp();
        let f = zero.less(n, (kept - m).exp(), 0.0);
        let c = f * c + i * a(2).tanh();
        let n = f * n + i;
        vec![a(3).sigmoid() * (c / n), c, n, m]
    })
}
