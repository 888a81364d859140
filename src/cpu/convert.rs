//! Twins of `shaders/dense/widen.wgsl`, `narrow.wgsl`, and of those that give lines and columns powers of two of their own.

use super::Call;
#[cfg(not(target_family = "wasm"))]
use crate::device::shader::{DenseNarrowColumnsParams, DenseNarrowLinesParams};
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
    let x = &call.read::<f32>(1)[p.x_first as usize..];
    let out: &mut [f16] = call.write(2);
    let count = p.count as usize;
    let zero = (count % 2 == 1).then_some(&0.0);
    for (out, &x) in out.iter_mut().zip(x.iter().take(count).chain(zero)) {
        *out = nearest_half(x * p.scale);
    }
}

/// The power of two that takes a magnitude to between 2^14 and 2^15, as far as its inverse is a normal number.
#[cfg(not(target_family = "wasm"))]
fn scale_of(largest: u32) -> f32 {
    let exponent = if largest == 0 { 127 } else { (268 - (largest >> 23)).min(253) };
    f32::from_bits(exponent << 23)
}

/// Of what is finite.
#[cfg(not(target_family = "wasm"))]
fn largest_bits<'a>(x: impl Iterator<Item = &'a f32>) -> u32 {
    x.filter(|x| x.is_finite()).map(|x| x.abs().to_bits()).max().unwrap_or(0)
}

#[cfg(not(target_family = "wasm"))]
fn scaled_half(x: f32, scale: f32) -> f16 {
    if x.is_finite() { nearest_half(x * scale) } else { f16::from_f32(x) }
}

/// Twin of `shaders/dense/narrow_lines.wgsl`.
#[cfg(not(target_family = "wasm"))]
pub(super) fn narrow_lines(call: &mut Call<'_>) {
    let p: DenseNarrowLinesParams = call.params();
    let x: &[f32] = call.read(1);
    let out: &mut [f16] = call.write(2);
    let factors: &mut [f32] = call.write(3);
    let width = p.width as usize;
    for (line, (out, factor)) in out.chunks_exact_mut(width).zip(factors).take(p.lines as usize).enumerate() {
        let x = &x[p.x_first as usize + line * p.x_stride as usize..][..width];
        let scale = scale_of(largest_bits(x.iter()));
        *factor = scale.recip();
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = scaled_half(x, scale));
    }
}

/// Twin of `shaders/dense/narrow_columns.wgsl`.
#[cfg(not(target_family = "wasm"))]
pub(super) fn narrow_columns(call: &mut Call<'_>) {
    let p: DenseNarrowColumnsParams = call.params();
    let x: &[f32] = call.read(1);
    let largest: &[u32] = call.read(2);
    let out: &mut [f16] = call.write(3);
    let factors: &mut [f32] = call.write(4);
    let width = p.width as usize;
    let scales: Vec<f32> = largest.iter().take(width).map(|&bits| scale_of(bits)).collect();
    factors.iter_mut().zip(&scales).for_each(|(factor, scale)| *factor = scale.recip());
    for (line, out) in out.chunks_exact_mut(width).take(p.lines as usize).enumerate() {
        let x = &x[p.x_first as usize + line * p.x_stride as usize..][..width];
        out.iter_mut().zip(x.iter().zip(&scales)).for_each(|(out, (&x, &scale))| *out = scaled_half(x, scale));
    }
}
