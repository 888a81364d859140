//! Twins of `shaders/audio/*.wgsl`.

use super::Call;
use super::parallel::for_each_chunk;
use crate::device::shader::{AudioFrameParams, AudioMagnitudeParams};

/// Twin of `shaders/audio/frame.wgsl`.
pub(super) fn frame(call: &mut Call<'_>) {
    let p: AudioFrameParams = call.params();
    let (hop, window, width) = (p.hop as usize, p.window as usize, p.width as usize);
    let x: &[f32] = call.read(1);
    let y: &mut [f32] = call.write(2);
    for_each_chunk(&mut y[..p.frames as usize * width], width, |f, y| {
        let x = &x[f * hop..][..window];
        let (signal, pad) = y.split_at_mut(window);
        signal.copy_from_slice(x);
        for (y, x) in pad.iter_mut().zip(x.iter().rev().skip(1)) {
            *y = *x;
        }
    });
}

/// Twin of `shaders/audio/magnitude.wgsl`.
pub(super) fn magnitude(call: &mut Call<'_>) {
    let p: AudioMagnitudeParams = call.params();
    let plane = p.plane as usize;
    let x: &[f32] = call.read(1);
    let y: &mut [f32] = call.write(2);
    for_each_chunk(&mut y[..p.batch as usize * plane], plane, |b, y| {
        let (re, im) = x[2 * b * plane..][..2 * plane].split_at(plane);
        for ((y, re), im) in y.iter_mut().zip(re).zip(im) {
            *y = (re * re + im * im).sqrt();
        }
    });
}
