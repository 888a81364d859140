//! Several recurrent layers on top of each other: a stream that comes frame by frame, and the stacks of speech recognisers.

use super::case::{Case, Labels, Ready, Steps};
use super::cells::{layer, least, noise, steps};
use weft::recurrent::{Cell, Layer, Level, Merge, RunOptions, Stack, State, TrainOptions};
use weft::{Context, RunReport, Tensor};

/// A stack that is timed.
#[derive(Clone, Copy)]
struct Row {
    op: &'static str,
    cell: fn() -> Cell,
    /// I, H, levels.
    sizes: [usize; 3],
    t: usize,
    n: usize,
    call: Call,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// With the states of the frame before, and y read back.
    Stream,
    Forward,
    Train,
}

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let (stream, sizes, t, n) = if quick { ([16, 16, 3], [20, 16, 4], 10, 2) } else { ([640, 640, 3], [1024, 512, 4], 1000, 16) };
    let stacks = [("li-gru-stack", Cell::li_gru as fn() -> Cell), ("sli-gru-stack", Cell::sli_gru)];
    let stream = Row { op: "lstm-stream", cell: Cell::lstm, sizes: stream, t: 1, n: 1, call: Call::Stream };
    let stacks = stacks.iter().flat_map(|&(op, cell)| [Call::Forward, Call::Train].map(|call| Row { op, cell, sizes, t, n, call }));
    [stream].into_iter().chain(stacks).map(case).collect()
}

fn case(row: Row) -> Case {
    let direction = match row.call {
        Call::Stream => "frame",
        Call::Forward => "forward",
        Call::Train => "forward+backward",
    };
    let labels = Labels { op: row.op, input: "x", dtype: "f32", layout: "padded", lengths: "full", data: "flat", direction };
    let [i, h, levels] = row.sizes;
    let shape = vec![("i", i), ("h", h), ("l", levels), ("t", row.t), ("n", row.n)];
    Case { labels, shape, prepare: Box::new(move |gpu: &Context| ready(gpu, row)) }
}

fn ready(gpu: &Context, Row { cell, sizes: [i, h, levels], t, n, call, .. }: Row) -> weft::Result<Ready> {
    let x = Tensor::from_slice(gpu, &[t, n, i], &noise(t * n * i, 1, 1.0))?;
    let layers: Vec<Layer> =
        (0..levels).map(|level| layer(gpu, &cell(), [if level == 0 { i } else { h }, h])).collect::<weft::Result<_>>()?;
    let stack = Stack::new(layers.iter().cloned().map(Level::one).collect(), Merge::Concat)?;
    let trains = call == Call::Train;
    let each = layers.iter().map(|layer| least(layer, t * n, trains));
    let [bytes, flops] = each.fold([0.0; 2], |[bytes, flops], [b, f]| [bytes + b, flops + f]);
    let results = (4 * t * n * h) as u64;
    let timed: Box<dyn FnMut() -> weft::Result<RunReport>> = match call {
        Call::Stream => {
            let states = layers.iter().map(|layer| State::zeros(gpu, layer.cell(), n, h)).collect::<weft::Result<Vec<_>>>()?;
            Box::new(move || {
                let (y, _, report) = stack.run_blocking(&x, &states, &RunOptions::default())?;
                y.to_vec_blocking()?;
                Ok(report)
            })
        }
        Call::Forward => Box::new(move || Ok(stack.run_blocking(&x, &[], &RunOptions::default())?.2)),
        Call::Train => {
            let dy = Tensor::from_slice(gpu, &[t, n, h], &noise(t * n * h, 5, 1.0))?;
            Box::new(move || {
                let (_, _, tape) = stack.train_blocking(&x, &[], &TrainOptions::default())?;
                let mut report = RunReport::default();
                tape.tapes().iter().for_each(|tape| report.add(tape.report()));
                stack.backward_blocking(&tape, &dy, &[])?.1.iter().for_each(|gradients| report.add(&gradients.report));
                Ok(report)
            })
        }
    };
    let steps: Box<dyn Fn() -> weft::Result<Steps>> = Box::new(move || steps(&layers, [t, n], t * n, trains));
    Ok(Ready {
        call: timed,
        before: None,
        bytes,
        flops: Some(flops),
        cells: None,
        workspace: None,
        results,
        materialised: None,
        steps: Some(steps),
    })
}
