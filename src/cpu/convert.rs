//! Twins of `shaders/dense/widen.wgsl` and `narrow.wgsl`.

use super::Call;
use crate::device::shader::{DenseNarrowParams, DenseWidenParams};
use crate::tensor::nearest_half;
use half::f16;

pub(super) fn widen(call: &mut Call<'_>) {
    let p: DenseWidenParams = call.params();
    let x: &[f16] = call.read(1);
    let out: &mut [f32] = call.write(2);
    for (out, x) in out.iter_mut().zip(x).take(p.count as usize) {
        *out = x.to_f32();
    }
}

pub(super) fn narrow(call: &mut Call<'_>) {
    let p: DenseNarrowParams = call.params();
    let x: &[f32] = call.read(1);
    let out: &mut [f16] = call.write(2);
    let count = p.count as usize;
    let zero = (count % 2 == 1).then_some(&0.0);
    for (out, &x) in out.iter_mut().zip(x.iter().take(count).chain(zero)) {
        *out = nearest_half(x * p.scale);
    }
}
