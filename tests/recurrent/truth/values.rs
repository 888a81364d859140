//! Arrays by name.

use super::tape::{Gradients, Id, Tape};
use std::collections::BTreeMap;

/// x, weights, first states; or the gradients of all these, by the same names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub BTreeMap<String, Vec<f64>>);

impl Values {
    #[track_caller]
    pub fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", self.0.keys()))
    }

    #[track_caller]
    pub fn get_mut(&mut self, name: &str) -> &mut Vec<f64> {
        self.0.get_mut(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// As f32, for the library; exact for numbers that came from [`Values::fill`].
    #[track_caller]
    pub fn f32(&self, name: &str) -> Vec<f32> {
        self.get(name).iter().map(|&x| x as f32).collect()
    }

    pub fn set(&mut self, name: &str, numbers: &[f64]) {
        self.0.insert(name.to_owned(), numbers.to_vec());
    }

    /// Numbers in [-scale, scale) that f32 can hold, different for each seed and name.
    pub fn fill(&mut self, name: &str, seed: u64, scale: f64) {
        let mut state =
            name.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        for x in self.get_mut(name) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let unit = (state >> 40) as f64 / f64::from(1u32 << 23) - 1.0;
            *x = f64::from((unit * scale) as f32);
        }
    }

    pub(super) fn leaves(&self, tape: &mut Tape) -> Ids {
        Ids(self.0.iter().map(|(name, numbers)| (name.clone(), tape.leaf(numbers))).collect())
    }
}

/// Where arrays lie on the tape.
#[derive(Clone)]
pub struct Ids(BTreeMap<String, Id>);

impl Ids {
    #[track_caller]
    pub fn get(&self, name: &str) -> Id {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", self.0.keys()))
    }

    pub(super) fn insert(&mut self, name: &str, id: Id) {
        self.0.insert(name.to_owned(), id);
    }

    /// Those whose names end so, without that ending.
    pub(super) fn ending(&self, suffix: &str) -> Self {
        Self(self.0.iter().filter_map(|(name, &id)| Some((name.strip_suffix(suffix)?.to_owned(), id))).collect())
    }

    pub(super) fn gradients(&self, gradients: &Gradients<'_>) -> Values {
        Values(self.0.iter().map(|(name, &id)| (name.clone(), gradients.of(id).to_vec())).collect())
    }
}
