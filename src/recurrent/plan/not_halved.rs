//! In browsers there are no matrices: `halved.rs` without any device that has them.

use super::Problem;
use crate::dense::{Gemm, Matrix};
use crate::device::Caps;
use crate::device::recording::Recording;
use crate::error::Result;

pub(super) enum Halved {}

#[derive(Clone, Copy)]
pub(super) enum Scaled {}

impl Halved {
    pub(super) fn new(_: &mut Recording, _: &Caps, _: &Problem, _: u64) -> Option<Self> {
        None
    }

    pub(super) fn h(&self, _: &mut Recording, _: &Caps, _: Matrix, _: u64) -> Option<Matrix> {
        match *self {}
    }

    pub(super) fn columns(&self, _: &mut Recording, _: &Caps, _: Matrix, _: u64) -> Result<Scaled> {
        match *self {}
    }

    pub(super) fn record_weight(&self, _: &mut Recording, _: &Caps, _: Gemm, _: (Scaled, u64)) -> Result<()> {
        match *self {}
    }

    pub(super) fn takes_x(&self) -> bool {
        match *self {}
    }

    pub(super) fn record_x(&self, _: &mut Recording, _: &Caps, _: Gemm) -> Result<()> {
        match *self {}
    }
}
