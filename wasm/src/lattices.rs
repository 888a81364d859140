//! What follows from kept lattices.

use crate::memory::doubles_out;
use js_sys::Float64Array;
use wasm_bindgen::prelude::*;
use weft::lattice::{Alignment, Lattices};

/// The lattices of a batch. Utterances beyond it have none of anything.
#[wasm_bindgen]
pub struct WasmLattices(pub(crate) Lattices);

#[wasm_bindgen]
impl WasmLattices {
    /// N.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// T, U + 1, A.
    pub fn shape(&self, utterance: usize) -> Vec<u32> {
        let shape = self.0.get(utterance).map(|lattice| lattice.shape());
        shape.iter().flatten().map(|&side| side as u32).collect()
    }

    /// [T, U + 1, A].
    pub fn occupancies(&self, utterance: usize) -> Float64Array {
        doubles_out(self.0.get(utterance).map(|lattice| lattice.occupancies()))
    }

    /// Nats; `undefined` where there is no path.
    pub fn entropy(&self, utterance: usize) -> Option<f64> {
        self.0.get(utterance)?.entropy()
    }

    /// [U].
    pub fn expected_frames(&self, utterance: usize) -> Float64Array {
        doubles_out(self.0.get(utterance).map(|lattice| lattice.expected_frames()))
    }

    /// The best path, or none.
    pub fn best_path(&self, utterance: usize) -> Float64Array {
        flat(self.0.get(utterance).and_then(|lattice| lattice.best_path()))
    }

    /// The k best.
    pub fn k_best(&self, utterance: usize, k: usize) -> Float64Array {
        flat(self.0.get(utterance).into_iter().flat_map(|lattice| lattice.k_best(k)))
    }

    /// Drawn paths.
    pub fn sample(&self, utterance: usize, count: usize, seed: u64) -> Float64Array {
        flat(self.0.get(utterance).into_iter().flat_map(|lattice| lattice.sample(count, seed)))
    }
}

/// Of each alignment: its two probabilities, the number of its emissions, those, the number of its arcs, those.
fn flat(alignments: impl IntoIterator<Item = Alignment>) -> Float64Array {
    let mut values = Vec::new();
    for Alignment { emissions, path, log_prob, log_posterior } in alignments {
        values.extend([log_prob, log_posterior, emissions.len() as f64]);
        values.extend(emissions.iter().flat_map(|e| [e.frame.into(), e.duration.into(), e.posterior, e.arc.into()]));
        values.push(path.len() as f64);
        values.extend(path.iter().flat_map(|arc| [arc.frame, arc.position, arc.arc]).map(f64::from));
    }
    doubles_out(Some(values))
}
