//! Backward: stretch by stretch from the last, the gates are computed again by products over all frames, the steps put
//! their gradients in their place, and products over all frames make of those the gradients of inputs and weights.

use super::stepped::{self, Spread};
use super::{Problem, Slot, copy_states, stretch_frames, window};
use crate::dense::{Activation, Form, Gemm, Matrix, record_column_sums};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{CellValidFramesParams, DenseTransposeParams, Kernel};
use crate::error::{Result, within};
use crate::tensor::DType;

/// Buffers of one call: those of the forward call, then the gradients.
#[derive(Clone, Copy, Debug)]
pub(in crate::recurrent) struct BackwardBuffers {
    /// [T, N, I]
    pub x: BufferId,
    /// [X H, I]
    pub weight_ih: BufferId,
    /// [X H]
    pub bias_ih: Option<BufferId>,
    /// [R H, H]
    pub weight_hh: BufferId,
    /// [R + P, H]
    pub units: BufferId,
    pub sequences: Option<BufferId>,
    /// [S, T + 1, N, H]
    pub states: BufferId,
    /// [T, N, H]
    pub dy: BufferId,
    /// [S, N, H]: gradients of the last states; without them they are zero.
    pub d_new_state: Option<BufferId>,
    /// [T, N, I]
    pub dx: Option<BufferId>,
    /// [X H, I]
    pub d_weight_ih: BufferId,
    /// [X H]
    pub d_bias_ih: BufferId,
    /// [R H, H]
    pub d_weight_hh: BufferId,
    /// [R + P, H]
    pub d_units: BufferId,
    /// [S, N, H]
    pub d_state: BufferId,
}

/// Makes the plan. The caller provides the buffers in the order of their declaration in [`BackwardBuffers`], those that the problem
/// has. `wants_dx`: whether the gradient of x is wanted. T and N are at least 1.
pub(in crate::recurrent) fn backward(caps: &Caps, problem: &Problem, wants_dx: bool) -> Result<Recording> {
    let &Problem { frames, batch, hidden, input_size, shape, .. } = problem;
    let [x_frame, gates, rows, y_frame] = problem.frame_bytes();
    let of_batch = |bytes: u64| bytes / batch;
    let state_bytes = problem.plane_bytes() * shape.states;
    let words: u64 = problem.sequence_words().iter().sum();
    let [weight_ih, weight_hh] = [of_batch(gates) * input_size, (of_batch(rows) * hidden).max(4)];
    let units = ((shape.rows + shape.parameters) * hidden * 4).max(4);
    let mut recording = Recording::new();
    let buffers = BackwardBuffers {
        x: recording.bound("x", x_frame * frames),
        weight_ih: recording.bound("weight_ih", weight_ih),
        bias_ih: problem.bias.then(|| recording.bound("bias_ih", of_batch(gates))),
        weight_hh: recording.bound("weight_hh", weight_hh),
        units: recording.bound("units", units),
        sequences: problem.has_sequences().then(|| recording.bound("sequences", words * 4)),
        states: recording.bound("states", state_bytes * (frames + 1)),
        dy: recording.bound("dy", y_frame * frames),
        d_new_state: problem.state.then(|| recording.bound("d_new_state", state_bytes)),
        dx: wants_dx.then(|| recording.bound("dx", x_frame * frames)),
        d_weight_ih: recording.bound("d_weight_ih", weight_ih),
        d_bias_ih: recording.bound("d_bias_ih", of_batch(gates)),
        d_weight_hh: recording.bound("d_weight_hh", weight_hh),
        d_units: recording.bound("d_units", units),
        d_state: recording.bound("d_state", state_bytes),
    };
    record_backward(&mut recording, caps, problem, &buffers)?;
    Ok(recording)
}

/// Gates of a stretch in their buffer: inputs of all its frames, then products, unless they were added.
struct Gates {
    buffer: BufferId,
    /// Where the half begins that the stretch has, in elements.
    first: u64,
    /// Elements of the inputs of one frame, of the products, and frames that a half has room for.
    inputs: u64,
    products: u64,
    most: u64,
}

impl Gates {
    /// Where inputs and products of a frame of the stretch begin.
    fn at(&self, frame: u64) -> [u64; 2] {
        [self.first + frame * self.inputs, self.first + self.most * self.inputs + frame * self.products]
    }

    fn matrix(&self, kind: usize, frame: u64, columns: u64) -> Matrix {
        Matrix { buffer: self.buffer, first: self.at(frame)[kind], stride: columns as u32, dtype: DType::F32 }
    }
}

fn record_backward(recording: &mut Recording, caps: &Caps, problem: &Problem, buffers: &BackwardBuffers) -> Result<()> {
    let &Problem { frames, batch, input_size, hidden, shape, .. } = problem;
    let [x_bytes, inputs_bytes, rows_bytes, y_bytes] = problem.frame_bytes();
    let rows_bytes = if shape.summed { 0 } else { rows_bytes };
    // Two stretches have their gates at once, unless all frames are one.
    let one = inputs_bytes + rows_bytes;
    let most = match stretch_frames(caps, problem, one)? {
        most if most >= frames => frames,
        _ => stretch_frames(caps, problem, 2 * one)?,
    };
    let halves = if most >= frames { 1 } else { 2 };
    let gates_buffer = recording.workspace("gates", halves * most * one);
    let half = |number: u64| Gates {
        buffer: gates_buffer,
        first: number % halves * most * one / 4,
        inputs: inputs_bytes / 4,
        products: rows_bytes / 4,
        most,
    };
    let transposed = recording.workspace("weight_transposed", (shape.rows * hidden * hidden * 4).max(4));
    transpose(recording, caps, [buffers.weight_hh, transposed], [shape.rows * hidden, hidden]);
    let planes = shape.states + shape.parameters;
    let carry = recording.workspace("carry", planes * problem.plane_bytes());
    recording.clear(carry);
    if let Some(given) = buffers.d_new_state {
        let slots = (shape.states, Some(Slot::only(given)), Slot::only(carry));
        copy_states(recording, caps, problem, slots, None, buffers.units);
    }
    // What is past the ends must not reach the products, not even multiplied by zero.
    let clean_x = problem.lengths.then(|| recording.workspace("valid_x", most * x_bytes));

    let spread = Spread::backward(caps, problem);
    let [columns, rows] = [shape.inputs * hidden, shape.rows * hidden];
    let slots = frames + 1;
    let stretches: Vec<_> = problem.stretches(most).enumerate().collect();
    for (turn, &(number, stretch)) in stretches.iter().rev().enumerate() {
        let (first, count) = stretch;
        let begin = problem.first_frame(stretch);
        let gates = half(number as u64);
        let lines = (count * batch) as u32;
        let accumulates = turn > 0;
        let x = match (clean_x, buffers.sequences) {
            (Some(clean), Some(sequences)) => {
                valid_frames(recording, caps, problem, [buffers.x, sequences, clean], begin, count);
                Matrix::new(window(clean, 0, count, x_bytes), input_size as u32)
            }
            _ => Matrix::new(window(buffers.x, begin, count, x_bytes), input_size as u32),
        };
        let whole = |recording: &Recording, buffer, stride: u64| Matrix::new(recording.whole(buffer), stride as u32);
        let weight_ih = whole(recording, buffers.weight_ih, input_size);
        let weight_hh = whole(recording, buffers.weight_hh, hidden);
        let inputs = gates.matrix(0, 0, columns);
        let products = if shape.summed { inputs } else { gates.matrix(1, 0, rows) };
        // The h before each frame of the stretch.
        let earliest = problem.slot_of(if problem.reversed { first + count - 1 } else { first }, slots);
        let h = Matrix { buffer: buffers.states, first: earliest * batch * hidden, stride: hidden as u32, dtype: DType::F32 };

        let product = |form, sides: [u64; 3], [a, b, c]: [Matrix; 3], bias: Option<Binding>, accumulates| Gemm {
            form,
            sides: sides.map(|side| side as u32),
            a,
            b,
            c,
            bias,
            accumulates,
            activations: [Activation::Identity; 2],
        };
        let lines = u64::from(lines);
        let bias_ih = buffers.bias_ih.map(|bias| recording.whole(bias));
        product(Form::Nt, [lines, columns, input_size], [x, weight_ih, inputs], bias_ih, false).record(recording, caps)?;
        if rows > 0 {
            let bias_hh = Binding { buffer: buffers.units, offset: 0, bytes: rows * 4 };
            product(Form::Nt, [lines, rows, hidden], [h, weight_hh, products], Some(bias_hh), shape.summed).record(recording, caps)?;
        }

        let (dy, dy_first) = window(buffers.dy, begin, count, y_bytes).aligned(caps);
        let bindings = [transposed, buffers.units, buffers.sequences.unwrap_or(buffers.units), buffers.states];
        let [transposed, units, sequences, states] = bindings.map(|buffer| recording.whole(buffer));
        let set = [transposed, units, sequences, states, dy, recording.whole(gates_buffer), recording.whole(carry)];
        let set = recording.bind(&set);
        let gates_at = |step: u64| {
            // The step after this stretch has its gates in the other half.
            let other = number as u64 + u64::from(step >= first + count);
            let (_, at) = stretches[other as usize];
            half(other).at(problem.frame_of(step) - problem.first_frame(at))
        };
        stepped::backward(recording, problem, &spread, set, stretch, &gates_at, (dy_first, slots));

        if let Some(dx) = buffers.dx {
            let dx = Matrix::new(window(dx, begin, count, x_bytes), input_size as u32);
            product(Form::Nn, [lines, input_size, columns], [inputs, weight_ih, dx], None, false).record(recording, caps)?;
        }
        let d_weight_ih = whole(recording, buffers.d_weight_ih, input_size);
        product(Form::Tn, [columns, input_size, lines], [inputs, x, d_weight_ih], None, accumulates).record(recording, caps)?;
        let d_bias_ih = whole(recording, buffers.d_bias_ih, columns);
        record_column_sums(recording, caps, inputs, [lines as u32, columns as u32], d_bias_ih, accumulates)?;
        if rows > 0 {
            let d_weight_hh = whole(recording, buffers.d_weight_hh, hidden);
            product(Form::Tn, [rows, hidden, lines], [products, h, d_weight_hh], None, accumulates).record(recording, caps)?;
            let d_bias_hh = whole(recording, buffers.d_units, rows);
            record_column_sums(recording, caps, products, [lines as u32, rows as u32], d_bias_hh, accumulates)?;
        }
    }
    for parameter in 0..shape.parameters {
        let sums = (shape.states + parameter) * batch * hidden;
        let sums = Matrix { buffer: carry, first: sums, stride: hidden as u32, dtype: DType::F32 };
        let out = Matrix { buffer: buffers.d_units, first: rows + parameter * hidden, stride: hidden as u32, dtype: DType::F32 };
        record_column_sums(recording, caps, sums, [batch as u32, hidden as u32], out, false)?;
    }
    let slots = (shape.states, Some(Slot::only(carry)), Slot::only(buffers.d_state));
    copy_states(recording, caps, problem, slots, None, buffers.units);
    within("one call, launches", recording.dispatches() as u64, caps.max_launches(), "carry the gradients over several calls")
}

fn transpose(recording: &mut Recording, caps: &Caps, buffers: [BufferId; 2], [rows, columns]: [u64; 2]) {
    let bindings = buffers.map(|buffer| recording.whole(buffer));
    let set = recording.bind(&bindings);
    let params = DenseTransposeParams { rows: rows as u32, columns: columns as u32 };
    let tiles = rows.div_ceil(32) * columns.div_ceil(32);
    recording.dispatch(caps.shader(Kernel::DenseTranspose), set, &params, fold(tiles, caps.max_workgroups), rows * columns);
}

fn valid_frames(recording: &mut Recording, caps: &Caps, problem: &Problem, [x, sequences, out]: [BufferId; 3], begin: u64, count: u64) {
    let [x_bytes, ..] = problem.frame_bytes();
    let (x, x_first) = window(x, begin, count, x_bytes).aligned(caps);
    let set = [x, recording.whole(sequences), window(out, 0, count, x_bytes)];
    let set = recording.bind(&set);
    let params = CellValidFramesParams {
        batch: problem.batch as u32,
        columns: problem.input_size as u32,
        frames: count as u32,
        first: begin as u32,
        x_first,
    };
    let values = count * problem.batch * problem.input_size;
    recording.dispatch(caps.shader(Kernel::CellValidFrames), set, &params, fold(values.div_ceil(256), caps.max_workgroups), values);
}
