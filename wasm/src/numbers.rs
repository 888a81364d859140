//! Options, which cross as a list of numbers: what `js/numbers.ts` writes is read here, in the same order.

use crate::error::Result;
use crate::memory::doubles;
use js_sys::Float64Array;

/// The numbers that are still to be read.
pub(crate) struct Numbers(std::vec::IntoIter<f64>);

impl Numbers {
    pub fn of(array: &Float64Array) -> Result<Self> {
        Ok(Self(doubles(array)?.into_iter()))
    }

    /// The next number. A list that is too short is a mistake of this package: what reads it refuses NaN.
    pub fn number(&mut self) -> f32 {
        self.double() as f32
    }

    pub fn double(&mut self) -> f64 {
        self.0.next().unwrap_or(f64::NAN)
    }

    pub fn word(&mut self) -> u32 {
        self.double() as u32
    }

    pub fn flag(&mut self) -> bool {
        self.word() != 0
    }

    /// What `read` reads, if a flag before it says that it is there.
    pub fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| read(self))
    }

    /// So many as the number before them says.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.word();
        (0..count).map(|_| read(self)).collect()
    }
}
