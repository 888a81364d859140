//! Twin of `shaders/dense/conv1d.wgsl`.

use super::Call;
use super::dense::dot;
use super::math::activate;
use super::parallel::for_each_chunk;
use crate::device::shader::DenseConv1dParams;

/// Twin of `shaders/dense/conv1d.wgsl`. The windows of one batch item are unrolled once and stay in
/// the cache while every weight row passes over them.
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
        let mut windows = vec![0.0f32; length_out * depth];
        for (t, window) in windows.chunks_exact_mut(depth).enumerate() {
            // The part of the kernel that lies over x; the rest stays zero.
            let begin = t * p.stride as usize;
            let first = (p.padding as usize).saturating_sub(begin).min(kernel);
            let last = (length_in + p.padding as usize).saturating_sub(begin).min(kernel);
            for (taps, x) in window.chunks_exact_mut(kernel).zip(x.chunks_exact(length_in)) {
                if first < last {
                    let from = begin + first - p.padding as usize;
                    taps[first..last].copy_from_slice(&x[from..from + last - first]);
                }
            }
        }
        for (n, (y, weight)) in y.chunks_exact_mut(length_out).zip(weight.chunks_exact(depth)).enumerate() {
            let offset = if p.has_bias != 0 { bias[n] } else { 0.0 };
            for (y, window) in y.iter_mut().zip(windows.chunks_exact(depth)) {
                *y = activate(p.activation, offset + dot(window, weight));
            }
        }
    });
}
