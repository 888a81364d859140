//! Twins of `shaders/dense/*.wgsl`.

use super::Call;
use super::math::activate;
use super::parallel::for_each_chunk;
use crate::device::shader::DenseLinearParams;

/// Twin of `shaders/dense/linear.wgsl`.
pub(super) fn linear(call: &mut Call<'_>) {
    let p: DenseLinearParams = call.params();
    let (inputs, outputs) = (p.inputs as usize, p.outputs as usize);
    let x: &[f32] = call.read(1);
    let weight: &[f32] = call.read(2);
    let bias: &[f32] = call.read(3);
    let y: &mut [f32] = call.write(4);
    let (x, y) = (&x[p.x_first as usize..], &mut y[p.y_first as usize..]);
    for_each_chunk(&mut y[..p.rows as usize * outputs], outputs, |row, y| {
        let x: Vec<f32> = x[row * inputs..][..inputs].iter().map(|&v| activate(p.activation_in, v)).collect();
        for (n, y) in y.iter_mut().enumerate() {
            let sum = dot(&x, &weight[n * inputs..][..inputs]);
            *y = activate(p.activation_out, if p.has_bias != 0 { sum + bias[n] } else { sum });
        }
    });
}

/// Dot product in eight strands, which the compiler turns into vector code.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut strands = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a8.zip(b8) {
        for i in 0..8 {
            strands[i] += a[i] * b[i];
        }
    }
    strands.iter().sum::<f32>() + rest
}
