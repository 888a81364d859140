//! The pooling of quasi-recurrent networks.

use super::Cell;

impl Cell {
    /// The fo-pooling of the QRNN (Bradbury et al. 2016, arXiv:1611.01576): gates z, f, o, of the input alone; states h, c;
    /// `c' = σ(x_f) c + (1 - σ(x_f)) tanh(x_z)`, `h' = σ(x_o) c'`. With a window of more than one frame, x is a convolution.
    pub fn qrnn() -> Self {
        Cell::builder("QRNN")
            .gates(&["candidate", "forget", "output"])
            .states(&["h", "c"])
            .update(|u| {
                let f = u.x[1].sigmoid();
                let c = f * u.s[1] + (1.0 - f) * u.x[0].tanh();
                vec![u.x[2].sigmoid() * c, c]
            })
            .assemble()
    }
}
