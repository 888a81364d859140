//! Forward: the input projection of many frames by one product, then the steps.

use super::batch_norm::{self, Statistics};
use super::norms::{self, Lines};
use super::stepped::{self, Windows};
use super::ways::{Choice, Side, Way, choose};
use super::weights::Recurrent;
use super::{Problem, Slot, Walk, copy_states, mid, projected, rows, scan, stretch_frames, widened, window};
#[cfg(not(target_family = "wasm"))]
use super::{local, matrices, persistent};
use crate::dense::{Activation, Conversion, Form, Gemm, Matrix, record_convert};
use crate::device::Caps;
use crate::device::recording::{BufferId, Recording};
use crate::error::{Result, within};
use crate::recurrent::cells::InputNorm;

/// Buffers of one call.
#[derive(Clone, Copy, Debug)]
pub(in crate::recurrent) struct ForwardBuffers {
    /// [T, N, I]
    pub x: BufferId,
    /// [X H, I]
    pub weight_ih: BufferId,
    /// [X H]
    pub bias_ih: Option<BufferId>,
    /// [X H]: of the norm of W x; its running mean and variance.
    pub norm_gain: Option<BufferId>,
    pub running: Option<[BufferId; 2]>,
    /// [R H, H], or with less columns: those of a head, or of a projected h.
    pub weight_hh: BufferId,
    /// [P, H]
    pub weight_hr: Option<BufferId>,
    /// [R + P + G, H]: bias_hh, the parameters, then what norms have.
    pub units: BufferId,
    /// Words of the sequences.
    pub sequences: Option<BufferId>,
    /// [N, P]: a projected h.
    pub h: Option<BufferId>,
    /// [S, N, H], without a projected h.
    pub state: Option<BufferId>,
    /// [N, P]
    pub new_h: Option<BufferId>,
    /// [T, N, H]: what is projected, if it is kept.
    pub unprojected: Option<BufferId>,
    /// [S, N, H], without a projected h.
    pub new_state: BufferId,
    /// [T, N, H], or [T, N, P]
    pub y: BufferId,
    /// [S, T + 1, N, H]: the states before every frame, in their order, if they are kept; those after the last step come last, or
    /// first where the direction is reverse.
    pub states: Option<BufferId>,
}

/// Makes the plan. The caller provides the buffers in the order of their declaration in [`ForwardBuffers`], those that the problem
/// has, and the states if they are kept. T and N are at least 1.
pub(in crate::recurrent) fn forward(caps: &Caps, problem: &Problem, keeps: bool) -> Result<(Recording, Choice)> {
    let [x_bytes, gates, rows, y_bytes] = problem.frame_bytes();
    let hidden = problem.hidden;
    let state_bytes = problem.plane_bytes().saturating_mul(problem.shape.states);
    let kept_bytes = state_bytes.saturating_mul(problem.frames.saturating_add(1));
    let [x_bytes, steps_bytes] = [x_bytes, y_bytes].map(|bytes| bytes.saturating_mul(problem.frames));
    let apart_bytes = problem.plane_bytes() * (problem.shape.states - problem.apart());
    let h_bytes = problem.row_bytes(problem.outputs());
    let y_bytes = h_bytes.saturating_mul(problem.frames);
    let help = "carry the state over several calls, or use smaller batches";
    for (what, need) in [("x, bytes", x_bytes), ("y, bytes", steps_bytes), ("state, bytes", state_bytes)] {
        within(what, need, caps.max_buffer_bytes, help)?;
    }
    if keeps {
        within("the states of all frames, bytes", kept_bytes, caps.max_window_bytes(), help)?;
    }
    let mut recording = Recording::new();
    let of_batch = |bytes: u64| bytes / problem.batch;
    let words: u64 = problem.sequence_words().iter().sum();
    let buffers = ForwardBuffers {
        x: recording.bound("x", problem.bytes_of(x_bytes / 4)),
        weight_ih: recording.bound("weight_ih", problem.bytes_of(of_batch(gates) / 4 * problem.input_size)),
        bias_ih: problem.bias.then(|| recording.bound("bias_ih", of_batch(gates))),
        norm_gain: problem.has_gain_ih().then(|| recording.bound("norm_gain", of_batch(gates))),
        running: problem.is_batch_norm().then(|| ["running_mean", "running_var"].map(|name| recording.bound(name, of_batch(gates)))),
        weight_hh: recording.bound("weight_hh", problem.bytes_of(of_batch(rows) / 4 * problem.kept_columns())),
        weight_hr: problem.projection.map(|outputs| recording.bound("weight_hr", outputs * hidden * 4)),
        units: recording.bound("units", (problem.shape.unit_vectors() * hidden * 4).max(4)),
        sequences: problem.has_sequences().then(|| recording.bound("sequences", words * 4)),
        h: problem.first_h.then(|| recording.bound("h", h_bytes)),
        state: problem.state.then(|| recording.bound("state", apart_bytes)),
        new_h: (problem.apart() > 0).then(|| recording.bound("new_h", h_bytes)),
        new_state: recording.bound("new_state", apart_bytes),
        unprojected: problem.projection.filter(|_| keeps).map(|_| recording.bound("unprojected", steps_bytes)),
        y: recording.bound("y", problem.bytes_of(y_bytes / 4)),
        states: keeps.then(|| recording.bound("states", kept_bytes)),
    };
    let choice = record_forward(&mut recording, caps, problem, &buffers)?;
    Ok((recording, choice))
}

/// Adds the layer to a plan, and says what runs its steps. T and N are at least 1; what is optional is there as `problem` says.
pub(in crate::recurrent) fn record_forward(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    buffers: &ForwardBuffers,
) -> Result<Choice> {
    let &Problem { frames, batch, input_size, hidden, .. } = problem;
    let [_, gates_bytes, _, y_bytes] = problem.frame_bytes();
    let choice = choose(caps, problem, Side::Forward)?;
    let way = choice.way;
    let most = way.limited(caps, problem, stretch_frames(caps, problem, gates_bytes)?);
    let columns = problem.shape.inputs * hidden;
    let projection = recording.workspace("projection", most * gates_bytes);
    let project = |recording: &Recording, begin: u64, count: u64| Gemm {
        form: Form::Nt,
        sides: [(count * batch) as u32, columns as u32, input_size as u32],
        a: problem.matrix(buffers.x, begin * batch, input_size),
        b: problem.matrix(buffers.weight_ih, 0, input_size),
        c: Matrix::new(window(projection, 0, count, gates_bytes), columns as u32),
        bias: buffers.bias_ih.filter(|_| problem.norms.input.is_none()).map(|bias| recording.whole(bias)),
        accumulates: false,
        activations: [Activation::Identity; 2],
    };
    let products = project(recording, 0, most).launches(caps)?;
    let launches = frames
        .saturating_mul(problem.walk().launches())
        .saturating_add(frames.div_ceil(most).saturating_mul(2 * products + 2))
        .saturating_add(if problem.halves { frames.saturating_mul(y_bytes) / caps.max_window_bytes() + 8 } else { 3 });
    within("one call, launches", launches, caps.max_launches(), "carry the state over several calls")?;

    // Steps without matrices work in f32, even where numbers are kept as f16.
    let is_widened = problem.halves && !way.takes_halves();
    let [weight_hh, wide_y] = match is_widened {
        true => [
            widened(recording, caps, problem, buffers.weight_hh),
            recording.workspace("y_wide", frames * problem.row_bytes(problem.outputs())),
        ],
        false => [buffers.weight_hh, buffers.y],
    };
    let weights = Recurrent::new(recording, caps, problem, weight_hh, buffers.weight_hr)?;
    let first_rows = projected::first_rows(recording, caps, problem, &weights, buffers.h)?;
    // What the steps give: y, unless that is projected.
    let steps_y = match (problem.projection, buffers.unprojected) {
        (None, _) => wide_y,
        (Some(_), Some(kept)) => kept,
        (Some(_), None) => recording.workspace("unprojected", y_bytes * frames),
    };
    #[cfg(not(target_family = "wasm"))]
    let matrices = match way {
        Way::Matrices(layout) => Some(matrices::Forward::new(recording, caps, problem, layout, [buffers.weight_hh, buffers.y], most)),
        _ => None,
    };
    #[cfg(not(target_family = "wasm"))]
    let (alone, waiting) = match way {
        Way::Local => (Some(local::Forward::new(recording, problem, most)), None),
        Way::Persistent(geometry) => {
            (None, Some(persistent::Forward::new(recording, caps, problem, geometry, [weights.matrix, steps_y], most)?))
        }
        Way::Scan | Way::Stepped | Way::Matrices(_) => (None, None),
    };
    #[cfg(not(target_family = "wasm"))]
    let own_slots =
        [alone.as_ref().map(|tier| tier.slots), waiting.as_ref().map(|tier| tier.slots), matrices.as_ref().map(|tier| tier.slots)];
    #[cfg(not(target_family = "wasm"))]
    let least_slots = own_slots.into_iter().flatten().next().unwrap_or(2);
    #[cfg(target_family = "wasm")]
    let least_slots = 2;
    let slots = if buffers.states.is_some() { frames + 1 } else { least_slots };
    let state_bytes = problem.plane_bytes() * problem.shape.states;
    let states = buffers.states.unwrap_or_else(|| recording.workspace("states", slots * state_bytes));
    let slot = |step: u64| Slot { buffer: states, slots, slot: problem.slot_of(step, slots), state: 0 };
    let given = buffers.state.map(Slot::only);
    let first_frame = buffers.sequences.map(|sequences| (problem.frame_of(0), sequences));
    let [apart, together] = [problem.apart(), problem.shape.states - problem.apart()];
    copy_states(recording, caps, problem, (together, given, slot(0).at_state(apart)), first_frame, buffers.units);

    let walk = problem.walk();
    let products = (walk == Walk::Rows && way == Way::Stepped).then(|| recording.workspace("products", rows::product_bytes(problem)));
    let lines = |count: u64, span| Lines::of(count * batch, problem.shape.inputs, hidden, span);
    let factors = match problem.norms.input {
        Some(InputNorm::Layer(norm)) => Some(recording.workspace("factors", lines(most, norm.span).factor_bytes())),
        _ => None,
    };
    let mids =
        (walk == Walk::Mid).then(|| recording.workspace("mids", (1 + problem.shape.rows - problem.shape.second) * problem.plane_bytes()));
    let sequences = buffers.sequences.unwrap_or(buffers.units);
    let stretches = problem.stretches(most).count() as u64;
    let statistics = match (problem.norms.input, buffers.running) {
        (Some(InputNorm::Batch(norm)), Some(running)) => {
            let affine = [buffers.norm_gain, buffers.bias_ih];
            let statistics = Statistics::new(recording, norm, [columns, most * batch, stretches], affine, buffers.units);
            if problem.training {
                for (number, stretch @ (_, count)) in problem.stretches(most).enumerate() {
                    let begin = problem.first_frame(stretch);
                    project(recording, begin, count).record_large(recording, caps)?;
                    let values = Matrix::new(window(projection, 0, count, gates_bytes), columns as u32);
                    statistics.take(recording, caps, problem, (values, None), (number as u64, begin, count), sequences);
                }
            }
            statistics.settle(recording, caps, problem.training, problem.training, running);
            Some(statistics)
        }
        _ => None,
    };
    for stretch @ (_, count) in problem.stretches(most) {
        let begin = problem.first_frame(stretch);
        let gx = window(projection, 0, count, gates_bytes);
        // A batch norm in training has projected it already, if it is the only one.
        if statistics.is_none() || !problem.training || stretches > 1 {
            project(recording, begin, count).record_large(recording, caps)?;
        }
        if let Some(statistics) = &statistics {
            statistics.apply(recording, caps, count * batch, Matrix::new(gx, columns as u32), batch_norm::WHOLE);
        }
        if let (Some(InputNorm::Layer(norm)), Some(factors)) = (problem.norms.input, factors) {
            let affine = [buffers.norm_gain, buffers.bias_ih];
            let values = Matrix::new(gx, columns as u32);
            norms::normalise(recording, caps, (lines(count, norm.span), norm.eps), values, affine, recording.whole(factors), buffers.units);
        }
        if let Some(rows) = first_rows {
            let gates = Matrix::new(gx, columns as u32);
            projected::at_first_frames(recording, caps, problem, [rows, sequences], gates, (begin, count), false);
        }

        // A binding cannot be left out: the units stand in for sequences that nothing is known of.
        #[cfg(not(target_family = "wasm"))]
        if let Some(tier) = &matrices {
            let (y, y_first) = problem.matrix(buffers.y, begin * batch, hidden).window(caps, (count * batch) as u32, hidden as u32);
            let bindings = [buffers.units, sequences, states].map(|buffer| recording.whole(buffer));
            let bindings = [gx, bindings[0], bindings[1], bindings[2], y];
            tier.record(recording, caps, problem, &bindings, &local::forward_params(problem, stretch, y_first, slots));
            continue;
        }
        let (y, y_first) = window(steps_y, begin, count, y_bytes).aligned(caps);
        let whole = [weights.matrix, buffers.units, sequences, states];
        let [weight_hh, units, sequences, all_states] = whole.map(|buffer| recording.whole(buffer));
        let bindings = [gx, weight_hh, units, sequences, all_states, y];
        #[cfg(not(target_family = "wasm"))]
        {
            let params = || local::forward_params(problem, stretch, y_first, slots);
            if let Some(tier) = &alone {
                tier.record(recording, caps, problem, &bindings, &params());
                continue;
            }
            if let Some(tier) = &waiting {
                tier.record(recording, caps, problem, &bindings, &params());
                continue;
            }
        }
        let windows = Windows { stretch, y_first, slots };
        match (walk, mids) {
            (Walk::Scan, _) => scan::forward(recording, caps, problem, &bindings, windows),
            (Walk::Rows, _) => {
                if let Some(products) = products {
                    rows::forward(recording, caps, problem, &bindings, products, windows);
                }
            }
            (Walk::Mid, Some(mids)) => mid::forward(recording, caps, problem, &bindings, mids, windows),
            _ => stepped::forward(recording, caps, problem, &bindings, windows),
        }
    }
    let last = Some(slot(frames).at_state(apart));
    copy_states(recording, caps, problem, (together, last, Slot::only(buffers.new_state)), None, buffers.units);
    if let Some(weight_hr) = buffers.weight_hr {
        projected::outputs(recording, caps, problem, [steps_y, wide_y, weight_hr])?;
        if let Some(new_h) = buffers.new_h {
            projected::last_h(recording, caps, problem, (slot(frames), weight_hr, new_h), (buffers.h, buffers.sequences))?;
        }
    }
    if is_widened {
        record_convert(recording, caps, [wide_y, buffers.y], frames * batch * problem.outputs(), Conversion::Narrow(1.0));
    }
    Ok(choice)
}
