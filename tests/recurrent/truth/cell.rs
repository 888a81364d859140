//! What one frame does to one sequence, as the papers write it; all rows in PyTorch's order.

use super::activation::{Activation, log_sigmoid, sigmoid};
use super::norm::{Norm, normalise};
use super::tape::{Id, Tape};
use super::values::Ids;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Elman 1990.
    Rnn,
    /// Hochreiter and Schmidhuber 1997, Gers 2000. Rows i, f, g, o.
    Lstm,
    /// Cho 2014 as cuDNN has it: the reset gate after the product. Rows r, z, n.
    GruAfter,
    /// The reset gate before the product. Rows r, z, n.
    GruBefore,
    /// Ravanelli 2018. Rows candidate, z.
    LiGru,
    /// Li 2018. weight_hh is a vector.
    IndRnn,
    /// Beck 2024. Rows i, f, z, o; n is 0 at first, which says that c and m mean nothing yet.
    SLstm,
    /// Feng 2024. Rows z, candidate.
    MinGru,
    /// Bradbury 2016, fo-pooling of one frame. Rows z, f, o.
    Qrnn,
}

/// A cell with its options. Those that its kind has no use for stay as the constructor left them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub kind: Kind,
    /// Of all gates.
    pub gate: Activation,
    /// Of what comes in: g of an LSTM, n of a GRU; the only one of an RNN.
    pub candidate: Activation,
    /// Of c, on its way to h.
    pub output: Activation,
    /// Bound of what gates and candidates are made of (`clip` of ONNX).
    pub gate_clip: Option<f64>,
    /// Bound of c (cuDNN's clip).
    pub cell_clip: Option<f64>,
    /// LSTM: i and f see the old c, o the new one.
    pub peepholes: bool,
    /// LSTM: f = 1 - i; rows i, g, o are left.
    pub coupled: bool,
    /// sLSTM: f = exp, instead of the logistic function.
    pub exponential_forget: bool,
    /// RNN, LSTM, sLSTM: h = weight_hr m, of so many numbers, where m is what would be h otherwise.
    pub projection: Option<usize>,
    /// bias_ih and bias_hh.
    pub bias: bool,
    /// Of W x, before bias_ih.
    pub norm_ih: Option<Norm>,
    /// Of R h, before bias_hh.
    pub norm_hh: Option<Norm>,
    /// LSTM: of c, on its way to h.
    pub norm_c: Option<Norm>,
}

impl Cell {
    fn new(kind: Kind, candidate: Activation) -> Self {
        Self {
            kind,
            gate: Activation::Sigmoid,
            candidate,
            output: Activation::Tanh,
            gate_clip: None,
            cell_clip: None,
            peepholes: false,
            coupled: false,
            exponential_forget: false,
            projection: None,
            bias: true,
            norm_ih: None,
            norm_hh: None,
            norm_c: None,
        }
    }

    pub fn rnn(activation: Activation) -> Self {
        Self::new(Kind::Rnn, activation)
    }

    pub fn lstm() -> Self {
        Self::new(Kind::Lstm, Activation::Tanh)
    }

    pub fn gru() -> Self {
        Self::new(Kind::GruAfter, Activation::Tanh)
    }

    pub fn gru_reset_before() -> Self {
        Self::new(Kind::GruBefore, Activation::Tanh)
    }

    /// Without the batch norm of W x: `norm_ih` sets it.
    pub fn li_gru() -> Self {
        Self::new(Kind::LiGru, Activation::Relu)
    }

    /// Moumen and Parcollet 2023: LiGRU with a layer norm over both rows of R h.
    pub fn sli_gru() -> Self {
        Self { norm_hh: Some(Norm::LAYER), ..Self::li_gru() }
    }

    /// Ba 2016: layer norms over all rows of W x and R h, and of c.
    pub fn layer_norm_lstm() -> Self {
        let norm = Some(Norm::LAYER);
        Self { norm_ih: norm, norm_hh: norm, norm_c: norm, ..Self::lstm() }
    }

    /// Ba 2016: layer norms over all rows of W x and R h.
    pub fn layer_norm_gru() -> Self {
        let norm = Some(Norm::LAYER);
        Self { norm_ih: norm, norm_hh: norm, ..Self::gru() }
    }

    pub fn ind_rnn(activation: Activation) -> Self {
        Self::new(Kind::IndRnn, activation)
    }

    pub fn s_lstm() -> Self {
        Self::new(Kind::SLstm, Activation::Tanh)
    }

    pub fn min_gru() -> Self {
        Self::new(Kind::MinGru, Activation::Identity)
    }

    pub fn qrnn() -> Self {
        Self::new(Kind::Qrnn, Activation::Tanh)
    }

    /// Rows of weight_ih a unit.
    pub fn gates(&self) -> usize {
        match self.kind {
            Kind::Rnn | Kind::IndRnn => 1,
            Kind::LiGru | Kind::MinGru => 2,
            Kind::GruAfter | Kind::GruBefore | Kind::Qrnn => 3,
            Kind::Lstm if self.coupled => 3,
            Kind::Lstm | Kind::SLstm => 4,
        }
    }

    /// Whether h comes back through a matrix.
    pub fn has_product(&self) -> bool {
        !matches!(self.kind, Kind::IndRnn | Kind::MinGru | Kind::Qrnn)
    }

    /// What a sequence carries on; h first.
    pub fn states(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Lstm | Kind::Qrnn => &["h", "c"],
            Kind::SLstm => &["h", "c", "n", "m"],
            _ => &["h"],
        }
    }

    /// Size of a state of `hidden` units.
    pub fn width(&self, state: &str, hidden: usize) -> usize {
        if state == "h" { self.projection.unwrap_or(hidden) } else { hidden }
    }

    /// Names and shapes of the weights.
    pub fn weights(&self, inputs: usize, hidden: usize) -> Vec<(&'static str, Vec<usize>)> {
        let rows = self.gates() * hidden;
        let mut all = vec![("weight_ih", vec![rows, inputs])];
        if self.has_product() {
            all.push(("weight_hh", vec![rows, self.width("h", hidden)]));
        } else if self.kind == Kind::IndRnn {
            all.push(("weight_hh", vec![hidden]));
        }
        if self.bias {
            all.push(("bias_ih", vec![rows]));
            if self.has_product() {
                all.push(("bias_hh", vec![rows]));
            }
        }
        if self.peepholes {
            let names: &[_] = if self.coupled { &["weight_ci", "weight_co"] } else { &["weight_ci", "weight_cf", "weight_co"] };
            all.extend(names.iter().map(|&name| (name, vec![hidden])));
        }
        if let Some(projection) = self.projection {
            all.push(("weight_hr", vec![projection, hidden]));
        }
        if let Some(norm) = self.norm_ih {
            all.push(("norm_ih.weight", vec![rows]));
            if let Norm::Running { .. } = norm {
                all.extend([("norm_ih.running_mean", vec![rows]), ("norm_ih.running_var", vec![rows])]);
            }
        }
        if self.norm_hh.is_some() {
            all.push(("norm_hh.weight", vec![rows]));
        }
        if self.norm_c.is_some() {
            all.extend([("norm_c.weight", vec![hidden]), ("norm_c.bias", vec![hidden])]);
        }
        all
    }

    /// New states from x (the row of W x, with norm and bias) and the old states. `mask` multiplies the
    /// candidate.
    pub fn step(&self, tape: &mut Tape, weights: &Ids, x: Id, old: &[Id], mask: Option<Id>) -> Vec<Id> {
        let hidden = tape.len(x) / self.gates();
        let h = old[0];
        let part = |tape: &mut Tape, rows: Id, gate: usize| tape.slice(rows, gate * hidden, hidden);
        let activate = |tape: &mut Tape, activation: Activation, a: Id| {
            let a = self.gate_clip.map_or(a, |bound| tape.clip(a, bound));
            tape.map(a, |x| activation.at(x))
        };
        let candidate = |tape: &mut Tape, a: Id| {
            let a = activate(tape, self.candidate, a);
            mask.map_or(a, |mask| tape.mul(a, mask))
        };
        match self.kind {
            Kind::Rnn => {
                let r = self.recurrent(tape, weights, h);
                let sum = tape.add(x, r);
                let h = candidate(tape, sum);
                vec![self.project_h(tape, weights, h)]
            }
            Kind::IndRnn => {
                let r = tape.mul(weights.get("weight_hh"), h);
                let sum = tape.add(x, r);
                vec![candidate(tape, sum)]
            }
            Kind::Lstm => {
                let r = self.recurrent(tape, weights, h);
                let sum = tape.add(x, r);
                let c = old[1];
                let peep = |tape: &mut Tape, gate: Id, name: &str, c: Id| match self.peepholes {
                    true => {
                        let seen = tape.mul(weights.get(name), c);
                        tape.add(gate, seen)
                    }
                    false => gate,
                };
                let i = part(tape, sum, 0);
                let i = peep(tape, i, "weight_ci", c);
                let i = activate(tape, self.gate, i);
                let f = if self.coupled {
                    tape.complement(i)
                } else {
                    let f = part(tape, sum, 1);
                    let f = peep(tape, f, "weight_cf", c);
                    activate(tape, self.gate, f)
                };
                let g = part(tape, sum, self.gates() - 2);
                let g = candidate(tape, g);
                let (kept, new) = (tape.mul(f, c), tape.mul(i, g));
                let c = tape.add(kept, new);
                let c = self.cell_clip.map_or(c, |bound| tape.clip(c, bound));
                let o = part(tape, sum, self.gates() - 1);
                let o = peep(tape, o, "weight_co", c);
                let o = activate(tape, self.gate, o);
                let shown = self.norm_c.map_or(c, |norm| {
                    let scaled = norm.layer(tape, c, 1, weights.get("norm_c.weight"));
                    tape.add(scaled, weights.get("norm_c.bias"))
                });
                let shown = tape.map(shown, |x| self.output.at(x));
                let h = tape.mul(o, shown);
                vec![self.project_h(tape, weights, h), c]
            }
            Kind::GruAfter | Kind::GruBefore => {
                let [xr, xz, xn] = [0, 1, 2].map(|gate| part(tape, x, gate));
                let all = self.recurrent(tape, weights, h);
                let [ur, uz, un] = [0, 1, 2].map(|gate| part(tape, all, gate));
                let (r, z) = (tape.add(xr, ur), tape.add(xz, uz));
                let (r, z) = (activate(tape, self.gate, r), activate(tape, self.gate, z));
                let second = if self.kind == Kind::GruAfter {
                    tape.mul(r, un)
                } else {
                    let reset = tape.mul(r, h);
                    let again = self.recurrent(tape, weights, reset);
                    part(tape, again, 2)
                };
                let n = tape.add(xn, second);
                let n = candidate(tape, n);
                vec![gated(tape, z, h, n)]
            }
            Kind::LiGru => {
                let r = self.recurrent(tape, weights, h);
                let sum = tape.add(x, r);
                let a = part(tape, sum, 0);
                let z = part(tape, sum, 1);
                let (a, z) = (candidate(tape, a), activate(tape, self.gate, z));
                vec![gated(tape, z, h, a)]
            }
            Kind::SLstm => {
                let r = self.recurrent(tape, weights, h);
                let sum = tape.add(x, r);
                let [i, f, z, o] = [0, 1, 2, 3].map(|gate| part(tape, sum, gate));
                let (z, o) = (candidate(tape, z), activate(tape, self.gate, o));
                let [c, n, m] = [old[1], old[2], old[3]];
                let begun: Vec<f64> = tape.value(n).iter().map(|&n| if n > 0.0 { 1.0 } else { 0.0 }).collect();
                let log_f = if self.exponential_forget { f } else { tape.map(f, |x| (log_sigmoid(x), sigmoid(-x))) };
                let faded = tape.add(log_f, m);
                // As the authors' code has it: a unit that has seen nothing has no scale.
                let faded = tape.zip(n, faded, |n, x| if n > 0.0 { (x, 0.0, 1.0) } else { (-1e30, 0.0, 0.0) });
                let m = tape.max(faded, i);
                let m = tape.blend(&begun, m, i);
                let (i, f) = (tape.sub(i, m), tape.sub(faded, m));
                // Above 0 only where it does not count.
                let (i, f) = (tape.exp(i), tape.map(f, |x| (x.min(0.0).exp(), x.min(0.0).exp())));
                let begun = tape.leaf(&begun);
                let f = tape.mul(f, begun);
                let (kept, new) = (tape.mul(f, c), tape.mul(i, z));
                let c = tape.add(kept, new);
                let kept = tape.mul(f, n);
                let n = tape.add(kept, i);
                let mean = tape.div(c, n);
                let h = tape.mul(o, mean);
                vec![self.project_h(tape, weights, h), c, n, m]
            }
            Kind::MinGru => {
                let (z, a) = (part(tape, x, 0), part(tape, x, 1));
                let (z, a) = (activate(tape, self.gate, z), candidate(tape, a));
                // z takes the new one here.
                vec![gated(tape, z, a, h)]
            }
            Kind::Qrnn => {
                let [z, f, o] = [0, 1, 2].map(|gate| part(tape, x, gate));
                let (z, f, o) = (candidate(tape, z), activate(tape, self.gate, f), activate(tape, self.gate, o));
                let c = gated(tape, f, old[1], z);
                vec![tape.mul(o, c), c]
            }
        }
    }

    fn project_h(&self, tape: &mut Tape, weights: &Ids, h: Id) -> Id {
        if self.projection.is_some() { tape.product(weights.get("weight_hr"), h) } else { h }
    }

    /// R h, with norm and bias.
    fn recurrent(&self, tape: &mut Tape, weights: &Ids, h: Id) -> Id {
        let product = tape.product(weights.get("weight_hh"), h);
        let normed = self.norm_hh.map_or(product, |norm| norm.layer(tape, product, self.gates(), weights.get("norm_hh.weight")));
        if self.bias { tape.add(normed, weights.get("bias_hh")) } else { normed }
    }

    /// W x for every frame, with norm and bias.
    pub fn project(&self, tape: &mut Tape, weights: &Ids, frames: &[Id]) -> Vec<Id> {
        let products: Vec<Id> = frames.iter().map(|&x| tape.product(weights.get("weight_ih"), x)).collect();
        let normed = self.norm_ih.map_or(products.clone(), |norm| normalise(norm, tape, weights, &products, self.gates()));
        normed.into_iter().map(|x| if self.bias { tape.add(x, weights.get("bias_ih")) } else { x }).collect()
    }
}

/// z a + (1 - z) b.
fn gated(tape: &mut Tape, z: Id, a: Id, b: Id) -> Id {
    let rest = tape.complement(z);
    let (a, b) = (tape.mul(z, a), tape.mul(rest, b));
    tape.add(a, b)
}
