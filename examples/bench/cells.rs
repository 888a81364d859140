//! The recurrent cells: LSTM and GRU forward, input projection included.

use super::case::{Case, Labels, Ready};
use weft::recurrent::{CellWeights, Gru, Lstm};
use weft::{Context, Tensor};

/// H (= input size) and N; T = 500.
const SIZES: &[[usize; 2]] = &[[128, 1], [256, 1], [256, 16], [640, 1], [640, 16], [1024, 16]];
const QUICK_SIZES: &[[usize; 2]] = &[[16, 1], [32, 2]];

#[derive(Clone, Copy)]
enum Cell {
    Lstm,
    Gru,
}

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let t = if quick { 10 } else { 500 };
    let sizes = if quick { QUICK_SIZES } else { SIZES };
    sizes.iter().flat_map(|&[h, n]| [Cell::Lstm, Cell::Gru].map(|cell| case(cell, t, h, n))).collect()
}

fn case(cell: Cell, t: usize, h: usize, n: usize) -> Case {
    let labels = Labels {
        op: match cell {
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
        },
        input: "x",
        dtype: "f32",
        layout: "padded",
        lengths: "full",
        data: "flat",
        direction: "forward",
    };
    let prepare = Box::new(move |gpu: &Context| ready(gpu, cell, [t, n, h]));
    Case { labels, shape: vec![("h", h), ("t", t), ("n", n)], prepare }
}

fn ready(gpu: &Context, cell: Cell, [t, n, h]: [usize; 3]) -> weft::Result<Ready> {
    let x = Tensor::from_slice(gpu, &[t, n, h], &noise(t * n * h, 1, 1.0))?;
    let gates = match cell {
        Cell::Lstm => 4,
        Cell::Gru => 3,
    };
    let scale = 1.0 / (h as f32).sqrt();
    let square = |seed| noise(gates * h * h, seed, scale);
    let (weight_ih, weight_hh, bias) = (square(2), square(3), noise(gates * h, 4, scale));
    let weights = CellWeights { input_size: h, hidden_size: h, weight_ih: &weight_ih, weight_hh: &weight_hh, bias: Some((&bias, &bias)) };
    // x, the projection written and read, y, and every weight once.
    let bytes = 4.0 * (t * n * (2 * h + 2 * gates * h) + 2 * gates * h * h) as f64;
    let results = x.bytes();
    let call: Box<dyn FnMut() -> weft::Result<weft::RunReport>> = match cell {
        Cell::Lstm => {
            let lstm = Lstm::new(gpu, &weights)?;
            Box::new(move || Ok(lstm.forward_reported_blocking(&x, None, None)?.2))
        }
        Cell::Gru => {
            let gru = Gru::new(gpu, &weights)?;
            Box::new(move || Ok(gru.forward_reported_blocking(&x, None, None)?.2))
        }
    };
    Ok(Ready { call, before: None, bytes, flops: None, cells: None, workspace: None, results })
}

/// A fast stream of numbers in [-scale, scale): xorshift (Marsaglia 2003).
pub fn noise(count: usize, mut seed: u32, scale: f32) -> Vec<f32> {
    let next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        ((seed >> 8) as f32 / (1u32 << 23) as f32 - 1.0) * scale
    };
    std::iter::repeat_with(next).take(count).collect()
}
