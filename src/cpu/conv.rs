//! Twin of `shaders/dense/conv1d.wgsl`.

use super::Call;
use super::dense::dot;
use super::math::activate;
use super::parallel::for_each_chunk;
use crate::device::shader::DenseConv1dParams;

/// Outputs whose windows are unrolled together: few enough that they stay in the cache while every
/// weight row passes over them.
const BLOCK: usize = 64;

/// Twin of `shaders/dense/conv1d.wgsl`.
pub(super) fn conv1d(call: &mut Call<'_>) {
    let p: DenseConv1dParams = call.params();
    let (kernel, length_in, length_out) = (p.kernel as usize, p.length_in as usize, p.length_out as usize);
    let (channels_in, channels_out) = (p.channels_in as usize, p.channels_out as usize);
    let depth = channels_in * kernel;
    let x: &[f32] = call.read(1);
    let weight: &[f32] = call.read(2);
    let bias: &[f32] = call.read(3);
    let y: &mut [f32] = call.write(4);
    let item = channels_out * length_out;
    for_each_chunk(&mut y[..p.batch as usize * item], item, |b, y| {
        let x = &x[b * channels_in * length_in..][..channels_in * length_in];
        let mut windows = vec![0.0f32; BLOCK.min(length_out) * depth];
        for block in (0..length_out).step_by(BLOCK) {
            let count = BLOCK.min(length_out - block);
            let windows = &mut windows[..count * depth];
            for (t, window) in windows.chunks_exact_mut(depth).enumerate() {
                unroll(&p, x, (block + t) * p.stride as usize, window);
            }
            for (n, (y, weight)) in y.chunks_exact_mut(length_out).zip(weight.chunks_exact(depth)).enumerate() {
                let offset = if p.has_bias != 0 { bias[n] } else { 0.0 };
                for (y, window) in y[block..].iter_mut().zip(windows.chunks_exact(depth)) {
                    *y = activate(p.activation, offset + dot(window, weight));
                }
            }
        }
    });
}

/// What the kernel sees of x, zero outside, when it begins `begin` samples into the padded input.
fn unroll(p: &DenseConv1dParams, x: &[f32], begin: usize, window: &mut [f32]) {
    let (kernel, length_in, padding) = (p.kernel as usize, p.length_in as usize, p.padding as usize);
    window.fill(0.0);
    let first = padding.saturating_sub(begin).min(kernel);
    let last = (length_in + padding).saturating_sub(begin).min(kernel);
    if first < last {
        for (c, taps) in window.chunks_exact_mut(kernel).enumerate() {
            taps[first..last].copy_from_slice(&x[c * length_in + begin + first - padding..][..last - first]);
        }
    }
}
