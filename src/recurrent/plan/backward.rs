//! Backward: stretch by stretch from the last, the gates are computed again by products over all frames, the steps put
//! their gradients in their place, and products over all frames make of those the gradients of inputs and weights.

use super::batch_norm::{self, Statistics};
use super::halved::Halved;
use super::norms::{self, Lines};
use super::projected::Projected;
use super::stepped::{self, Windows};
use super::ways::{Choice, Side, Way, choose};
use super::weights::Recurrent;
use super::{Problem, Slot, Walk, copy_states, mid, rows, scan, stretch_frames, widened, window};
#[cfg(not(target_family = "wasm"))]
use super::{local, normed, persistent};
use crate::dense::{Activation, Form, Gemm, Matrix, record_column_sums};
use crate::device::Caps;
use crate::device::recording::{Binding, BufferId, Recording, fold};
use crate::device::shader::{CellValidFramesParams, DenseTransposeParams, Kernel};
use crate::error::{Result, within};
use crate::recurrent::cells::InputNorm;
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
    /// [X H]: of the norm of W x.
    pub norm_gain: Option<BufferId>,
    /// [R H, H], or with less columns: those of a head, or of a projected h.
    pub weight_hh: BufferId,
    /// [P, H]
    pub weight_hr: Option<BufferId>,
    /// [R + P + G, H]
    pub units: BufferId,
    pub sequences: Option<BufferId>,
    /// [N, P]: the projected h before the first frame.
    pub h: Option<BufferId>,
    /// [T, N, H]: what was projected.
    pub unprojected: Option<BufferId>,
    /// [S, T + 1, N, H]
    pub states: BufferId,
    /// [T, N, H], or [T, N, P]
    pub dy: BufferId,
    /// [N, P]
    pub d_new_h: Option<BufferId>,
    /// [S, N, H], without a projected h: gradients of the last states; without them they are zero.
    pub d_new_state: Option<BufferId>,
    /// [T, N, I]
    pub dx: Option<BufferId>,
    /// [X H, I]
    pub d_weight_ih: BufferId,
    /// [X H]
    pub d_bias_ih: BufferId,
    /// [X H]
    pub d_norm_gain: Option<BufferId>,
    /// As weight_hh.
    pub d_weight_hh: BufferId,
    /// [P, H]
    pub d_weight_hr: Option<BufferId>,
    /// [R + P + G, H]
    pub d_units: BufferId,
    /// [N, P]
    pub d_h: Option<BufferId>,
    /// [S, N, H], without a projected h.
    pub d_state: BufferId,
}

/// Makes the plan. The caller provides the buffers in the order of their declaration in [`BackwardBuffers`], those that the problem
/// has. `wants_dx`: whether the gradient of x is wanted. T and N are at least 1.
pub(in crate::recurrent) fn backward(caps: &Caps, problem: &Problem, wants_dx: bool) -> Result<(Recording, Choice)> {
    let &Problem { frames, batch, hidden, input_size, shape, .. } = problem;
    let [x_frame, gates, rows, y_frame] = problem.frame_bytes();
    let of_batch = |bytes: u64| bytes / batch;
    let state_bytes = problem.plane_bytes() * shape.states;
    let apart_bytes = problem.plane_bytes() * (shape.states - problem.apart());
    let h_bytes = problem.row_bytes(problem.outputs());
    let words: u64 = problem.sequence_words().iter().sum();
    let [weight_ih, weight_hh] = [of_batch(gates) * input_size, (of_batch(rows) * problem.kept_columns()).max(4)];
    let own_type = |bytes: u64| problem.bytes_of(bytes / 4);
    let units = (shape.unit_vectors() * hidden * 4).max(4);
    let weight_hr = problem.projection.map(|outputs| outputs * hidden * 4);
    let mut recording = Recording::new();
    let buffers = BackwardBuffers {
        x: recording.bound("x", own_type(x_frame * frames)),
        weight_ih: recording.bound("weight_ih", own_type(weight_ih)),
        bias_ih: problem.bias.then(|| recording.bound("bias_ih", of_batch(gates))),
        norm_gain: problem.has_gain_ih().then(|| recording.bound("norm_gain", of_batch(gates))),
        weight_hh: recording.bound("weight_hh", own_type(weight_hh)),
        weight_hr: weight_hr.map(|bytes| recording.bound("weight_hr", bytes)),
        units: recording.bound("units", units),
        sequences: problem.has_sequences().then(|| recording.bound("sequences", words * 4)),
        h: problem.first_h.then(|| recording.bound("h", h_bytes)),
        unprojected: problem.projection.map(|_| recording.bound("unprojected", y_frame * frames)),
        states: recording.bound("states", state_bytes * (frames + 1)),
        dy: recording.bound("dy", h_bytes * frames),
        d_new_h: (problem.apart() > 0 && problem.state).then(|| recording.bound("d_new_h", h_bytes)),
        d_new_state: problem.state.then(|| recording.bound("d_new_state", apart_bytes)),
        dx: wants_dx.then(|| recording.bound("dx", x_frame * frames)),
        d_weight_ih: recording.bound("d_weight_ih", weight_ih),
        d_bias_ih: recording.bound("d_bias_ih", of_batch(gates)),
        d_norm_gain: problem.has_gain_ih().then(|| recording.bound("d_norm_gain", of_batch(gates))),
        d_weight_hh: recording.bound("d_weight_hh", weight_hh),
        d_weight_hr: weight_hr.map(|bytes| recording.bound("d_weight_hr", bytes)),
        d_units: recording.bound("d_units", units),
        d_h: (problem.apart() > 0).then(|| recording.bound("d_h", h_bytes)),
        d_state: recording.bound("d_state", apart_bytes),
    };
    let choice = record_backward(&mut recording, caps, problem, &buffers)?;
    Ok((recording, choice))
}

/// What a binding may begin at on any device, bytes.
const FACTORS_ALIGNMENT: u64 = 256;

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

fn record_backward(recording: &mut Recording, caps: &Caps, problem: &Problem, buffers: &BackwardBuffers) -> Result<Choice> {
    let &Problem { frames, batch, input_size, hidden, shape, .. } = problem;
    let [x_bytes, inputs_bytes, rows_bytes, y_bytes] = problem.frame_bytes();
    let rows_bytes = if shape.summed { 0 } else { rows_bytes };
    // Two stretches have their gates at once, unless all frames are one.
    let one = inputs_bytes + rows_bytes;
    let [all, half] = [one, 2 * one].map(|bytes| stretch_frames(caps, problem, bytes));
    let choice = choose(caps, problem, Side::Backward { most: all.as_ref().map_or(frames, |&most| most) })?;
    let way = choice.way;
    let most = match way.limited(caps, problem, all?) {
        most if most >= frames => frames,
        _ => way.limited(caps, problem, half?),
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
    let sums = shape.parameters + shape.gains + shape.state_vectors;
    let walk = problem.walk();
    // Of a normalised product also sums for its bias, and what one step leaves to itself; likewise of a second product.
    let normed_rows = if problem.norms.recurrent.is_some() { shape.rows } else { 0 };
    #[cfg(not(target_family = "wasm"))]
    let waiting = match way {
        Way::Persistent(geometry) => Some(persistent::Backward::new(recording, caps, problem, geometry, most)),
        _ => None,
    };
    #[cfg(not(target_family = "wasm"))]
    let alone = (way == Way::Local && walk == Walk::Rows).then(|| recording.workspace("alone", 16));
    let wide_weight_hh = widened(recording, caps, problem, buffers.weight_hh);
    let weights = Recurrent::new(recording, caps, problem, wide_weight_hh, buffers.weight_hr)?;
    let d_matrix = weights.gradient(recording, problem, buffers.d_weight_hh);
    // Those that take many steps by a launch read the weights as they are, and note what they leave to do.
    let marks = u64::from(!matches!(way, Way::Scan | Way::Stepped));
    let transposed = match marks {
        0 => recording.workspace("weight_transposed", (shape.rows * hidden * hidden * 4).max(4)),
        _ => weights.matrix,
    };
    if marks == 0 {
        transpose(recording, caps, [weights.matrix, transposed], [shape.rows * hidden, hidden]);
    }
    let planes = shape.states + sums + 2 * normed_rows + shape.second + marks;
    let lines_of = |count: u64, gates: u64, span| Lines::of(count * batch, gates, hidden, span);
    // Launches of many steps read what products were multiplied with to be normalised behind what they carry.
    let carry_bytes = planes * problem.plane_bytes();
    let factor_bytes = problem.norms.recurrent.map(|norm| lines_of(most, shape.rows, norm.span).factor_bytes());
    let factors_first = carry_bytes.next_multiple_of(FACTORS_ALIGNMENT);
    let behind = factor_bytes.filter(|_| marks > 0).map_or(carry_bytes, |bytes| factors_first + bytes);
    #[cfg(not(target_family = "wasm"))]
    let state_sums = normed::StateSums::new(problem, factors_first).filter(|_| marks > 0);
    #[cfg(not(target_family = "wasm"))]
    let behind = state_sums.map_or(behind, |sums| sums.end(problem, most));
    let carry = recording.workspace("carry", behind);
    recording.clear(carry);
    let factors = factor_bytes.map(|bytes| match marks {
        0 => Binding { buffer: recording.workspace("factors", bytes), offset: 0, bytes },
        _ => Binding { buffer: carry, offset: factors_first, bytes },
    });
    let [apart, together] = [problem.apart(), shape.states - problem.apart()];
    if let Some(given) = buffers.d_new_state {
        let slots = (together, Some(Slot::only(given)), Slot::only(carry).at_state(apart));
        copy_states(recording, caps, problem, slots, None, buffers.units);
    }
    let projection = Projected::new(recording, caps, problem, buffers, &weights, carry, most)?;
    let halved = Halved::new(recording, caps, problem, most);
    // What is past the ends must not reach the products, not even multiplied by zero.
    let clean_x = problem.lengths.then(|| recording.workspace("valid_x", problem.bytes_of(most * x_bytes / 4)));

    let normed_inputs = problem.norms.input.map(|norm| {
        let factor_bytes = match norm {
            InputNorm::Layer(norm) => lines_of(most, shape.inputs, norm.span).factor_bytes(),
            InputNorm::Batch(_) => 4,
        };
        [recording.workspace("normalised", most * inputs_bytes), recording.workspace("input_factors", factor_bytes)]
    });
    let mids = (walk == Walk::Mid).then(|| recording.workspace("mids", most * problem.plane_bytes()));
    let [columns, rows] = [shape.inputs * hidden, shape.rows * hidden];
    let slots = frames + 1;
    let stretches: Vec<_> = problem.stretches(most).enumerate().collect();
    let sequences = buffers.sequences.unwrap_or(buffers.units);
    let count_of_stretches = stretches.len() as u64;
    let statistics = match problem.norms.input {
        Some(InputNorm::Batch(norm)) => {
            let affine = [buffers.norm_gain, buffers.bias_ih];
            Some(Statistics::new(recording, norm, [columns, most * batch, count_of_stretches], affine, buffers.units))
        }
        _ => None,
    };
    // Gradients of normalised gates do not take the place of those of the gates where the next stretch reads them too. A batch norm
    // has them of all frames before it takes the first.
    let held = match problem.norms.input {
        Some(InputNorm::Batch(_)) if count_of_stretches > 1 => frames,
        Some(InputNorm::Layer(_)) if count_of_stretches > 1 && shape.summed => most,
        _ => 0,
    };
    let held_bytes = held.saturating_mul(inputs_bytes);
    let help = "a batch norm's gradient takes those of all frames: use smaller batches, or shorter sequences";
    within("the gradients of the gates of all frames, bytes", held_bytes, caps.max_buffer_bytes, help)?;
    let held = (held > 0).then(|| recording.workspace("d_gates", held_bytes));
    let whole = |recording: &Recording, buffer, stride: u64| Matrix::new(recording.whole(buffer), stride as u32);
    let x_of = |recording: &mut Recording, begin: u64, count: u64| match (clean_x, buffers.sequences) {
        (Some(clean), Some(sequences)) => {
            valid_frames(recording, caps, problem, [buffers.x, sequences, clean], (input_size, problem.dtype()), (begin, count));
            problem.matrix(clean, 0, input_size)
        }
        _ => problem.matrix(buffers.x, begin * batch, input_size),
    };
    // W x, before norms.
    let project = |recording: &mut Recording, x: Matrix, to: Matrix, bias: Option<Binding>, count: u64| {
        let weight_ih = problem.matrix(buffers.weight_ih, 0, input_size);
        product(Form::Nt, [count * batch, columns, input_size], [x, weight_ih, to], bias, false).record_large(recording, caps)
    };
    // Gradients of x and its weight, of those of the projections, which may be there by columns.
    let record_inputs = |recording: &mut Recording, d: Matrix, by_columns, x: Matrix, (begin, count): (u64, u64), accumulates: bool| {
        let lines = count * batch;
        let d_weight_ih = whole(recording, buffers.d_weight_ih, input_size);
        let to_weight = product(Form::Tn, [columns, input_size, lines], [d, x, d_weight_ih], None, accumulates);
        let to_x = buffers.dx.map(|dx| {
            let dx = Matrix::new(window(dx, begin, count, x_bytes), input_size as u32);
            let weight_ih = problem.matrix(buffers.weight_ih, 0, input_size);
            product(Form::Nn, [lines, input_size, columns], [d, weight_ih, dx], None, false)
        });
        let Some(halved) = halved.as_ref().filter(|halved| halved.takes_x()) else {
            to_weight.record_large(recording, caps)?;
            return to_x.map_or(Ok(()), |product| product.record_large(recording, caps));
        };
        let by_columns = match by_columns {
            Some(by_columns) => by_columns,
            None => halved.columns(recording, caps, d, lines)?,
        };
        halved.record_weight(recording, caps, to_weight, (by_columns, 0))?;
        to_x.map_or(Ok(()), |product| halved.record_x(recording, caps, product))
    };
    if let (Some(statistics), Some([normalised, _])) = (&statistics, normed_inputs) {
        for &(number, stretch @ (_, count)) in &stretches {
            let begin = problem.first_frame(stretch);
            let x = x_of(recording, begin, count);
            let projected = whole(recording, normalised, columns);
            project(recording, x, projected, None, count)?;
            statistics.take(recording, caps, problem, (projected, None), (number as u64, begin, count), sequences);
        }
        // The running ones stay as the forward call left them.
        let unused = [recording.workspace("no_mean", 4 * columns), recording.workspace("no_variance", 4 * columns)];
        statistics.settle(recording, caps, true, false, unused);
    }
    for (turn, &(number, stretch)) in stretches.iter().rev().enumerate() {
        let (first, count) = stretch;
        let begin = problem.first_frame(stretch);
        let gates = half(number as u64);
        let lines = count * batch;
        let accumulates = turn > 0;
        let weight_hh = match weights.matrix == wide_weight_hh {
            true => problem.matrix(buffers.weight_hh, 0, hidden),
            false => whole(recording, weights.matrix, hidden),
        };
        let inputs = gates.matrix(0, 0, columns);
        let products = if shape.summed { inputs } else { gates.matrix(1, 0, rows) };
        // The h before each frame of the stretch.
        let earliest = problem.slot_of(if problem.reversed { first + count - 1 } else { first }, slots);
        let h = Matrix { buffer: buffers.states, first: earliest * batch * hidden, stride: hidden as u32, dtype: DType::F32 };

        let h_half = halved.as_ref().and_then(|halved| halved.h(recording, caps, h, lines));

        let x = x_of(recording, begin, count);
        let projected = normed_inputs.map_or(inputs, |[normalised, _]| whole(recording, normalised, columns));
        let bias_ih = buffers.bias_ih.filter(|_| normed_inputs.is_none()).map(|bias| recording.whole(bias));
        // What the statistics took of the only stretch is there still.
        if statistics.is_none() || count_of_stretches > 1 {
            project(recording, x, projected, bias_ih, count)?;
        }
        if let (Some(InputNorm::Layer(norm)), Some([_, factors])) = (problem.norms.input, normed_inputs) {
            let of = lines_of(count, shape.inputs, norm.span);
            norms::normalise(recording, caps, (of, norm.eps), projected, [None, None], recording.whole(factors), buffers.units);
        }
        if let (Some(statistics), Some([normalised, _])) = (&statistics, normed_inputs) {
            statistics.apply(recording, caps, lines, whole(recording, normalised, columns), batch_norm::ALONE);
        }
        if normed_inputs.is_some() {
            let affine = [buffers.norm_gain, buffers.bias_ih].map(|row| row.map(|row| whole(recording, row, columns)));
            norms::affine(recording, caps, [lines, columns], Some(projected), inputs, affine, buffers.units);
        }
        // The rows of the product with h, and those with what it multiplies besides.
        let first_rows = rows - shape.second * hidden;
        let mut parts = vec![(0, first_rows, h)];
        parts.extend(mids.map(|mids| (first_rows, rows - first_rows, whole(recording, mids, hidden))));
        parts.retain(|&(_, rows, _)| rows > 0);
        // Some rows of the weights, or columns of the products.
        let rows_from = |matrix: Matrix, from: u64| Matrix { first: matrix.first + from * hidden, ..matrix };
        let columns_from = |matrix: Matrix, from: u64| Matrix { first: matrix.first + from, ..matrix };
        for &(from, rows, vectors) in &parts {
            if let Some(mids) = mids.filter(|_| from == first_rows) {
                let states = Slot { buffer: buffers.states, slots, slot: earliest, state: 0 };
                mid::multiplied(
                    recording,
                    caps,
                    problem,
                    [buffers.units, sequences, gates_buffer, mids],
                    gates.at(0),
                    states,
                    (begin, count),
                );
            }
            // Where there are norms, the steps add it.
            let bias_hh = (walk != Walk::Rows).then_some(Binding { buffer: buffers.units, offset: from * 4, bytes: rows * 4 });
            let vectors = h_half.filter(|_| vectors.buffer == h.buffer && weight_hh.dtype == DType::F16).unwrap_or(vectors);
            let factors = [vectors, rows_from(weight_hh, from), columns_from(products, from)];
            product(Form::Nt, [lines, rows, hidden], factors, bias_hh, shape.summed).record_large(recording, caps)?;
        }
        if let Some(projected) = &projection {
            projected.add_first_rows(recording, caps, problem, inputs, (begin, count));
        }
        if let (Some(norm), Some(factors)) = (problem.norms.recurrent, factors) {
            let of = lines_of(count, shape.rows, norm.span);
            norms::normalise(recording, caps, (of, norm.eps), products, [None, None], factors, buffers.units);
        }

        let (dy, dy_first) = match &projection {
            Some(projected) => (projected.record_dy(recording, caps, problem, (begin, count))?, 0),
            None => window(buffers.dy, begin, count, y_bytes).aligned(caps),
        };
        let [transposed, units, sequences, states] =
            [transposed, buffers.units, sequences, buffers.states].map(|buffer| recording.whole(buffer));
        let set = [transposed, units, sequences, states, dy, recording.whole(gates_buffer), recording.whole(carry)];
        // In place of the transposed weights, where another kernel multiplies by them.
        let normed = [factors.unwrap_or(units), units, sequences, states, dy, set[5], set[6]];
        let set = recording.bind(if walk == Walk::Scan { &set[1..] } else { &set });
        let gates_at = |step: u64| {
            // The step after this stretch has its gates in the other half.
            let other = number as u64 + u64::from(step >= first + count);
            let (_, at) = stretches[other as usize];
            half(other).at(problem.frame_of(step) - problem.first_frame(at))
        };
        let windows = Windows { stretch, y_first: dy_first, slots };
        match (way, walk) {
            #[cfg(not(target_family = "wasm"))]
            (Way::Local | Way::Persistent(_), _) => {
                let weight_hh = recording.whole(weights.matrix);
                let mut bindings = vec![weight_hh, units, sequences, states, dy, recording.whole(gates_buffer), recording.whole(carry)];
                let params = local::backward_params(problem, stretch, &gates_at, dy_first, slots);
                if let Some(sums) = state_sums {
                    let buffers = [buffers.units, sequences.buffer, buffers.states, gates_buffer, carry];
                    sums.record(recording, caps, problem, buffers, (gates.at(0), [earliest, slots]), (begin, count));
                }
                if let Some(tier) = &waiting {
                    tier.record(recording, caps, problem, &bindings, &params);
                } else {
                    // In place of what workgroups hand to each other.
                    bindings.extend(alone.map(|buffer| recording.whole(buffer)));
                    let set = recording.bind(&bindings);
                    local::backward(recording, caps, problem, set, &params, None);
                }
            }
            (_, Walk::Scan) => scan::backward(recording, caps, problem, set, windows, &gates_at),
            (_, Walk::Steps) => stepped::backward(recording, caps, problem, set, windows, &gates_at),
            (_, Walk::Rows) => rows::backward(recording, caps, problem, transposed, &normed, windows, &gates_at),
            (_, Walk::Mid) => mid::backward(recording, caps, problem, set, windows, &gates_at),
        }

        // Before the norm of W x changes the gradients of the gates: they may be those of the products too.
        let mut by_columns = None;
        if rows > 0 {
            let d_weight_hh = whole(recording, d_matrix, hidden);
            if let Some(projected) = &projection {
                projected.take_first_rows(recording, caps, problem, inputs, (begin, count));
            }
            if let Some(halved) = halved.as_ref().filter(|_| h_half.is_some()) {
                by_columns = Some(halved.columns(recording, caps, products, lines)?);
            }
            for &(from, rows, vectors) in &parts {
                let factors = [columns_from(products, from), vectors, rows_from(d_weight_hh, from)];
                let product = product(Form::Tn, [rows, hidden, lines], factors, None, accumulates);
                match (&halved, by_columns, h_half.filter(|_| vectors.buffer == h.buffer)) {
                    (Some(halved), Some(d), Some(h)) => halved.record_weight(recording, caps, Gemm { b: h, ..product }, (d, from))?,
                    _ => product.record_large(recording, caps)?,
                }
            }
            if normed_rows == 0 {
                let d_bias_hh = whole(recording, buffers.d_units, rows);
                record_column_sums(recording, caps, products, [lines as u32, rows as u32], d_bias_hh, accumulates)?;
            }
        }
        let d_bias_ih = whole(recording, buffers.d_bias_ih, columns);
        record_column_sums(recording, caps, inputs, [lines as u32, columns as u32], d_bias_ih, accumulates)?;
        let mut d_projected = inputs;
        if let Some(held) = held {
            let at = if statistics.is_some() { begin } else { 0 };
            d_projected = Matrix::new(window(held, at, count, inputs_bytes), columns as u32);
            norms::affine(recording, caps, [lines, columns], Some(inputs), d_projected, [None; 2], buffers.units);
        }
        if let (Some(InputNorm::Layer(norm)), Some(normed)) = (problem.norms.input, normed_inputs) {
            norms::normalise_gradient(recording, caps, lines_of(count, shape.inputs, norm.span), d_projected, normed, buffers.norm_gain);
            if let Some(d_gain) = buffers.d_norm_gain {
                let d_gain = whole(recording, d_gain, columns);
                record_column_sums(recording, caps, projected, [lines as u32, columns as u32], d_gain, accumulates)?;
            }
        }
        if let (Some(statistics), Some([normalised, _])) = (&statistics, normed_inputs) {
            statistics.take(recording, caps, problem, (d_projected, Some(normalised)), (number as u64, begin, count), sequences.buffer);
        } else {
            let by_columns = by_columns.filter(|_| shape.summed && normed_inputs.is_none());
            record_inputs(recording, d_projected, by_columns, x, (begin, count), accumulates)?;
        }
    }
    if let (Some(statistics), Some([normalised, _])) = (&statistics, normed_inputs) {
        let normalised_sums = buffers.d_norm_gain.unwrap_or_else(|| recording.workspace("normalised_sums", 4 * columns));
        statistics.total(recording, caps, normalised_sums)?;
        for (turn, &(number, stretch @ (_, count))) in stretches.iter().enumerate() {
            let begin = problem.first_frame(stretch);
            let x = x_of(recording, begin, count);
            let d_projected = match held {
                Some(held) => {
                    let projected = whole(recording, normalised, columns);
                    project(recording, x, projected, None, count)?;
                    statistics.apply(recording, caps, count * batch, projected, batch_norm::ALONE);
                    Matrix::new(window(held, begin, count, inputs_bytes), columns as u32)
                }
                None => half(number as u64).matrix(0, 0, columns),
            };
            let from = [sequences, buffers.d_bias_ih, normalised_sums, normalised];
            statistics.back(recording, caps, problem, d_projected, from, (begin, count));
            record_inputs(recording, d_projected, None, x, (begin, count), turn > 0)?;
        }
    }
    // Planes of sums, and the vectors of units that they are for.
    let bias_sums = (0..normed_rows).map(|row| (sums + row, row));
    for (plane, vector) in (0..sums).map(|plane| (plane, shape.rows + plane)).chain(bias_sums) {
        let sums = (shape.states + plane) * batch * hidden;
        let sums = Matrix { buffer: carry, first: sums, stride: hidden as u32, dtype: DType::F32 };
        let out = Matrix { buffer: buffers.d_units, first: vector * hidden, stride: hidden as u32, dtype: DType::F32 };
        record_column_sums(recording, caps, sums, [batch as u32, hidden as u32], out, false)?;
    }
    let first_rows = projection.as_ref().and_then(Projected::first_rows);
    weights.back(recording, caps, problem, [d_matrix, buffers.d_weight_hh], buffers.d_weight_hr, first_rows)?;
    if let Some(projected) = &projection {
        projected.record_d_h(recording, caps, problem)?;
    }
    let slots = (together, Some(Slot::only(carry).at_state(apart)), Slot::only(buffers.d_state));
    copy_states(recording, caps, problem, slots, None, buffers.units);
    within("one call, launches", recording.dispatches() as u64, caps.max_launches(), "carry the gradients over several calls")?;
    Ok(choice)
}

fn product(form: Form, sides: [u64; 3], [a, b, c]: [Matrix; 3], bias: Option<Binding>, accumulates: bool) -> Gemm {
    Gemm { form, sides: sides.map(|side| side as u32), a, b, c, bias, accumulates, activations: [Activation::Identity; 2] }
}

fn transpose(recording: &mut Recording, caps: &Caps, buffers: [BufferId; 2], [rows, columns]: [u64; 2]) {
    let bindings = buffers.map(|buffer| recording.whole(buffer));
    let set = recording.bind(&bindings);
    let params = DenseTransposeParams { rows: rows as u32, columns: columns as u32 };
    let tiles = rows.div_ceil(32) * columns.div_ceil(32);
    recording.dispatch(caps.shader(Kernel::DenseTranspose), set, &params, fold(tiles, caps.max_workgroups), rows * columns);
}

/// The frames of x [T, N, columns] that sequences have, and zeros.
pub(super) fn valid_frames(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    [x, sequences, out]: [BufferId; 3],
    (columns, dtype): (u64, DType),
    (begin, count): (u64, u64),
) {
    let lines = count * problem.batch;
    let matrix = |buffer, line: u64| Matrix { buffer, first: line * columns, stride: columns as u32, dtype };
    let (x, x_first) = matrix(x, begin * problem.batch).window(caps, lines as u32, columns as u32);
    let (out, _) = matrix(out, 0).window(caps, lines as u32, columns as u32);
    let set = [x, recording.whole(sequences), out];
    let set = recording.bind(&set);
    let params =
        CellValidFramesParams { batch: problem.batch as u32, columns: columns as u32, frames: count as u32, first: begin as u32, x_first };
    let values = lines * columns;
    // An invocation writes a word.
    let (flags, words): (&[&str], u64) = if dtype == DType::F16 { (&["f16"], values.div_ceil(2)) } else { (&[], values) };
    let shader = caps.shader_with(Kernel::CellValidFrames, flags);
    recording.dispatch(shader, set, &params, fold(words.div_ceil(256), caps.max_workgroups), values);
}
