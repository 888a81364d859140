//! The minimal GRU that a scan can compute.

use super::Cell;

impl Cell {
    /// The minGRU (Feng et al. 2024, arXiv:2410.01201): gates z and h~, of the input alone;
    /// `z = σ(x_z)`, `h' = (1 - z) h + z x_h`. `positive` takes g(x_h) for x_h, with g(v) = v + 1/2 where v >= 0 and σ(v) below, as
    /// their log-space form does.
    pub fn min_gru(positive: bool) -> Self {
        Cell::builder("minGRU")
            .gates(&["update", "candidate"])
            .states(&["h"])
            .update(move |u| {
                let z = u.x[0].sigmoid();
                let v = u.x[1];
                let candidate = if positive { v.less(0.0, v.sigmoid(), v + 0.5) } else { v };
                vec![(1.0 - z) * u.s[0] + z * candidate]
            })
            .assemble()
    }
}
