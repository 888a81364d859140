//! The tiers agree: the same steps by each of them, whatever the cell, the sequences and the workgroups.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::geometry::Geometry;
use super::matrices::{self, Matrices};
use super::persistent::{self, Waiting};
use super::stepped::{self, Windows};
use super::{Problem, Shape, Zoneout, local, normed, rows, tier};
use crate::device::recording::{BufferId, Recording};
use crate::device::{Caps, Context, ContextOptions, RunReport};
use crate::recurrent::cells::{Activation, ForgetGate, GruOptions, LstmOptions, Norm, NormSpan, Norms};
use crate::recurrent::program::program;
use crate::recurrent::{Cell, Gradients, Layer, LayerWeights, RunOptions, TrainOptions};
use crate::tensor::{Tensor, nearest_half};

/// A plain call of a layer of this cell.
pub(super) fn problem(cell: &Cell, frames: u64, batch: u64, hidden: u64) -> Problem {
    Problem { norms: *cell.norms(), input_size: hidden, ..Call::new(cell, frames, batch, hidden).problem }
}

/// A call: a problem with what is known of its sequences.
struct Call {
    problem: Problem,
    lengths: Vec<u32>,
    resets: Vec<(u64, u64)>,
    keeps_all: bool,
}

impl Call {
    fn new(cell: &Cell, frames: u64, batch: u64, hidden: u64) -> Self {
        let (shape, program) = program(cell, false);
        let problem = Problem {
            shape,
            program,
            frames,
            batch,
            input_size: 1,
            hidden,
            reversed: false,
            bias: true,
            lengths: false,
            resets: false,
            state: true,
            zoneout: Zoneout { seed: 5, ..Zoneout::default() },
            heads: 1,
            projection: None,
            first_h: false,
            weight_drop: super::WeightDrop::default(),
            // That of the input comes before all tiers.
            norms: Norms { input: None, ..*cell.norms() },
            training: false,
            tier: None,
            tunings: None,
            trial: None,
            halves: false,
        };
        Self { problem, lengths: vec![frames as u32; batch as usize], resets: Vec::new(), keeps_all: false }
    }

    fn reversed(mut self) -> Self {
        self.problem.reversed = true;
        self
    }

    fn zoneout(mut self, first: f64, others: f64) -> Self {
        let odds = |p: f64| (p * 4_294_967_296.0) as u32;
        self.problem.zoneout = Zoneout { first: odds(first), others: odds(others), ..self.problem.zoneout };
        self
    }

    fn lengths(mut self, lengths: &[u32]) -> Self {
        self.problem.lengths = true;
        self.lengths = lengths.to_vec();
        self
    }

    fn resets(mut self, resets: &[(u64, u64)]) -> Self {
        self.problem.resets = true;
        self.resets = resets.to_vec();
        self
    }

    /// In f16.
    fn half(mut self, cell: &Cell) -> Self {
        self.problem.halves = true;
        self.problem.program = program(cell, true).1;
        self
    }

    fn keeping_all(mut self) -> Self {
        self.keeps_all = true;
        self
    }

    /// Slots of the states: the first and the last are never the same.
    fn slots(&self) -> u64 {
        let frames = self.problem.frames;
        if self.keeps_all { frames + 1 } else { super::slots_of_stretches(frames, frames) }
    }

    /// Planes of sums that are carried backward: for vectors of units, and where the product is normalised for its bias, with what one
    /// step of the stepped tier leaves to itself.
    fn sums(&self) -> u64 {
        let Shape { rows, .. } = self.problem.shape;
        self.problem.shape.unit_vectors() - rows + if normed::spans(&self.problem) > 0 { 2 * rows } else { 0 }
    }

    fn plane(&self) -> usize {
        (self.problem.batch * self.problem.hidden) as usize
    }

    fn sequences(&self) -> Vec<u32> {
        let [first, rest] = self.problem.sequence_words();
        let mut words = self.lengths.clone();
        words.resize(((first + rest) as usize).max(words.len()), 0);
        let masks = noise(first as usize - words.len().min(first as usize).min(self.lengths.len()), 9, 1.0);
        for (word, mask) in words[self.lengths.len()..].iter_mut().zip(masks) {
            *word = (mask + 1.5).to_bits();
        }
        for &(frame, n) in &self.resets {
            words[(first + frame * self.problem.reset_words() + n / 32) as usize] |= 1 << (n % 32);
        }
        words
    }
}

/// Numbers between -scale and scale, the same everywhere.
fn noise(count: usize, seed: u32, scale: f32) -> Vec<f32> {
    let number = |i: u32| {
        let mut x = i.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b).wrapping_add(77);
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        (((x ^ (x >> 16)) >> 8) as f32 / 8_388_608.0 - 1.0) * scale
    };
    (0..count as u32).map(number).collect()
}

/// Memory of a call, by the names of what kernels bind.
struct Memory {
    tensors: Vec<(&'static str, Tensor)>,
}

impl Memory {
    fn forward(context: &Context, call: &Call) -> Self {
        let Problem { shape, frames, hidden, .. } = call.problem;
        let (h, plane, t) = (hidden as usize, call.plane(), frames as usize);
        let slots = call.slots() as usize;
        let [inputs, rows, states] = [shape.inputs, shape.rows, shape.states].map(|count| count as usize);
        let given = noise(states * plane, 4, 0.5);
        let mut all = vec![0.0; states * slots * plane];
        let first = call.problem.slot_of(0, slots as u64) as usize;
        for state in 0..states {
            let to = &mut all[(state * slots + first) * plane..][..plane];
            to.copy_from_slice(&given[state * plane..][..plane]);
            if call.problem.halves && state == 0 {
                to.iter_mut().for_each(|h| *h = nearest_half(*h).to_f32());
            }
            for &(_, n) in call.resets.iter().filter(|&&(frame, _)| frame == call.problem.frame_of(0)) {
                to[n as usize * h..][..h].fill(0.0);
            }
        }
        let mut weight = noise(rows * h * h, 2, 1.0 / (h as f32).sqrt());
        if call.problem.halves {
            weight.iter_mut().for_each(|w| *w = nearest_half(*w).to_f32());
        }
        let mut undone = vec![0.0; plane];
        let columns = |lines: &[f32]| -> Vec<f32> { (0..h).map(|column| lines.iter().skip(column).step_by(h).sum()).collect() };
        let spans = normed::spans(&call.problem) as usize;
        undone.extend(weight.chunks_exact((rows * h * h).checked_div(spans).unwrap_or(1)).take(spans).flat_map(columns));
        let vectors = shape.unit_vectors() as usize;
        let sums = (4 * t * plane * normed::exchanges(&call.problem) as usize).max(rows * plane);
        Self { tensors: Vec::new() }
            .with(context, "gx", &noise(t * plane * inputs, 1, 1.5))
            .with(context, "weight_hh", &weight)
            .with(context, "units", &noise(vectors * h, 3, 0.3))
            .with_words(context, "sequences", &call.sequences())
            .with(context, "states", &all)
            .with(context, "y", &vec![0.0; t * plane])
            .with(context, "undone", &undone)
            .with(context, "unit_sums", &vec![0.0; sums])
            .with(context, "products", &vec![0.0; (rows::product_bytes(&call.problem) / 4) as usize])
    }

    fn backward(context: &Context, call: &Call) -> Self {
        let Problem { shape, frames, hidden, .. } = call.problem;
        let (h, plane, t) = (hidden as usize, call.plane(), frames as usize);
        let [inputs, rows, states] = [shape.inputs, shape.rows, shape.states].map(|count| count as usize);
        let spans = normed::spans(&call.problem) as usize;
        let sums = call.sums() as usize;
        let weight = noise(rows * h * h, 2, 1.0 / (h as f32).sqrt());
        let transposed: Vec<f32> =
            (0..h).flat_map(|unit| (0..rows * h).map(move |row| (unit, row))).map(|(unit, row)| weight[row * h + unit]).collect();
        let gates = inputs + if shape.summed { 0 } else { rows };
        let mut carry = noise((states + sums) * plane, 6, 0.5);
        carry[states * plane..].fill(0.0);
        carry.resize((states + sums + 1) * plane, 0.0);
        let factors: Vec<f32> = noise(t * call.problem.batch as usize * spans, 8, 0.3).iter().map(|factor| 1.0 + factor).collect();
        carry.resize(carry.len().next_multiple_of(64), 0.0);
        let factors_first = carry.len() as u64 * 4;
        carry.extend(&factors);
        if let Some(sums) = normed::StateSums::new(&call.problem, factors_first) {
            carry.resize(sums.end(&call.problem, frames) as usize / 4, 0.0);
        }
        Self { tensors: Vec::new() }
            .with(context, "weight_hh", &weight)
            .with(context, "weight_transposed", &transposed)
            .with(context, "units", &noise(shape.unit_vectors() as usize * h, 3, 0.3))
            .with_words(context, "sequences", &call.sequences())
            .with(context, "states", &noise(states * (t + 1) * plane, 4, 0.8))
            .with(context, "dy", &noise(t * plane, 7, 0.7))
            .with(context, "gates", &noise(t * plane * gates, 1, 1.5))
            .with(context, "carry", &carry)
            .with(context, "exchange", &vec![0.0; 4 * t * plane * if normed::is_normed(&call.problem) { 4 } else { 1 }])
            .with(context, "factors", &factors)
    }

    fn with(mut self, context: &Context, name: &'static str, values: &[f32]) -> Self {
        let values = if values.is_empty() { &[0.0] } else { values };
        self.tensors.push((name, Tensor::from_slice(context, &[values.len()], values).unwrap()));
        self
    }

    fn with_words(self, context: &Context, name: &'static str, words: &[u32]) -> Self {
        self.with(context, name, bytemuck::cast_slice(words))
    }

    fn place(&self, name: &str) -> usize {
        self.tensors.iter().position(|(known, _)| *known == name).unwrap()
    }

    fn read(&self, name: &str) -> Vec<f32> {
        self.tensors[self.place(name)].1.to_vec_blocking().unwrap()
    }

    fn recording(&self) -> Recording {
        let mut recording = Recording::new();
        for (name, tensor) in &self.tensors {
            recording.bound(name, tensor.window_bytes());
        }
        recording
    }

    fn windows<const N: usize>(&self, recording: &Recording, names: [&str; N]) -> [crate::device::recording::Binding; N] {
        names.map(|name| recording.whole(BufferId(self.place(name))))
    }

    fn run(&self, context: &Context, recording: &Recording) -> RunReport {
        let tensors: Vec<&Tensor> = self.tensors.iter().map(|(_, tensor)| tensor).collect();
        pollster::block_on(context.run(recording, &tensors)).unwrap()
    }
}

const FORWARD: [&str; 8] = ["gx", "weight_hh", "units", "sequences", "states", "y", "undone", "unit_sums"];
const BACKWARD: [&str; 8] = ["weight_hh", "units", "sequences", "states", "dy", "gates", "carry", "exchange"];

/// What runs the steps.
enum Tier<'a> {
    Stepped,
    Local,
    Persistent(&'a Geometry, Waiting),
    /// Without what does the rest: a card whose workgroups run together leaves none.
    Waiting(&'a Geometry),
}

fn forward(memory: &Memory, caps: &Caps, call: &Call, tier: &Tier<'_>) -> Recording {
    let problem = &call.problem;
    let mut recording = memory.recording();
    let stretch = (0, problem.frames);
    let all = memory.windows(&recording, FORWARD);
    let is_normed = normed::is_normed(problem);
    let windows = &all[..if is_normed { 8 } else { 7 }];
    let params = local::forward_params(problem, stretch, 0, call.slots());
    match tier {
        Tier::Stepped => {
            let [gx, weight_hh, units, sequences, states, y, ..] = all;
            let bindings = [gx, weight_hh, units, sequences, states, y];
            let windows = Windows { stretch, y_first: 0, slots: call.slots() };
            if is_normed {
                let products = BufferId(memory.place("products"));
                rows::forward(&mut recording, caps, problem, &bindings, products, windows);
            } else {
                stepped::forward(&mut recording, caps, problem, &bindings, windows);
            }
        }
        Tier::Local => {
            let set = recording.bind(windows);
            local::forward(&mut recording, caps, problem, set, &params, false);
        }
        Tier::Persistent(geometry, waiting) => persistent::forward(&mut recording, caps, problem, (geometry, waiting), windows, &params),
        Tier::Waiting(geometry) => {
            persistent::forward_alone(&mut recording, caps, problem, (geometry, &Waiting::of(caps)), windows, &params);
        }
    }
    recording
}

fn backward(memory: &Memory, caps: &Caps, call: &Call, tier: &Tier<'_>) -> Recording {
    let problem = &call.problem;
    let mut recording = memory.recording();
    let (frames, plane) = (problem.frames, call.plane() as u64);
    let stretch = (0, frames);
    let gates_at = |step: u64| {
        let frame = problem.frame_of(step);
        [frame * plane * problem.shape.inputs, (frames * problem.shape.inputs + frame * problem.shape.rows) * plane]
    };
    let windows = memory.windows(&recording, BACKWARD);
    let is_normed = normed::is_normed(problem);
    let params = local::backward_params(problem, stretch, &gates_at, 0, frames + 1);
    let planes = problem.shape.states + call.sums() + 1;
    let factors_first = (planes * plane * 4).next_multiple_of(256);
    if let Some(sums) = normed::StateSums::new(problem, factors_first).filter(|_| !matches!(tier, Tier::Stepped)) {
        let buffers = ["units", "sequences", "states", "gates", "carry"].map(|name| BufferId(memory.place(name)));
        let at = ([0, frames * problem.shape.inputs * plane], [u64::from(problem.reversed), frames + 1]);
        sums.record(&mut recording, caps, problem, buffers, at, stretch);
    }
    match tier {
        Tier::Stepped => {
            let at = Windows { stretch, y_first: 0, slots: frames + 1 };
            let [weight_transposed, factors] = memory.windows(&recording, ["weight_transposed", "factors"]);
            let [_, units, sequences, states, dy, gates, carry, _] = windows;
            let mut set = [weight_transposed, units, sequences, states, dy, gates, carry];
            if is_normed {
                set[0] = factors;
                rows::backward(&mut recording, caps, problem, weight_transposed, &set, at, &gates_at);
            } else {
                let set = recording.bind(&set);
                stepped::backward(&mut recording, caps, problem, set, at, &gates_at);
            }
        }
        Tier::Local => {
            let set = recording.bind(if is_normed { &windows } else { &windows[..7] });
            local::backward(&mut recording, caps, problem, set, &params, None);
        }
        Tier::Persistent(geometry, waiting) => persistent::backward(&mut recording, caps, problem, (geometry, waiting), &windows, &params),
        Tier::Waiting(geometry) => {
            persistent::backward_alone(&mut recording, caps, problem, (geometry, &Waiting::of(caps)), &windows, &params);
        }
    }
    recording
}

/// y, and the states that count: all, or the last.
fn outcome_forward(context: &Context, call: &Call, tier: &Tier<'_>) -> [Vec<f32>; 2] {
    let memory = Memory::forward(context, call);
    memory.run(context, &forward(&memory, context.caps(), call, tier));
    assert!(memory.read("undone")[..call.plane()].iter().all(|word| word.to_bits() == 0));
    [memory.read("y"), kept_states(&memory, call)]
}

fn kept_states(memory: &Memory, call: &Call) -> Vec<f32> {
    let states = memory.read("states");
    let (plane, slots) = (call.plane(), call.slots() as usize);
    let last = call.problem.slot_of(call.problem.frames, slots as u64) as usize;
    let counts = |slot: usize| call.keeps_all || slot % slots == last;
    states.chunks_exact(plane).enumerate().filter(|&(slot, _)| counts(slot)).flat_map(|(_, plane)| plane.iter().copied()).collect()
}

/// Gradients of the gates, and what is carried to the states before, with the sums for the parameters.
fn outcome_backward(context: &Context, call: &Call, tier: &Tier<'_>) -> [Vec<f32>; 2] {
    let memory = Memory::backward(context, call);
    memory.run(context, &backward(&memory, context.caps(), call, tier));
    let carry = memory.read("carry");
    let shape = call.problem.shape;
    let known = (shape.states + shape.unit_vectors() - shape.rows) as usize;
    let bias_sums = if normed::spans(&call.problem) > 0 { shape.rows as usize } else { 0 };
    // Behind the sums is what one step of the stepped tier leaves to itself.
    let undone = &carry[(known + 2 * bias_sums) * call.plane()..][..call.plane()];
    assert!(undone.iter().all(|word| word.to_bits() == 0));
    [memory.read("gates"), carry[..(known + bias_sums) * call.plane()].to_vec()]
}

/// Sums of other orders differ by a few roundings of their largest.
#[track_caller]
fn assert_same(what: &str, call: &Call, expected: &[Vec<f32>; 2], got: &[Vec<f32>; 2]) {
    assert_near(what, call, expected, got, 1e-5);
}

#[track_caller]
fn assert_near(what: &str, call: &Call, expected: &[Vec<f32>; 2], got: &[Vec<f32>; 2], tolerance: f32) {
    let Problem { frames, batch, hidden, reversed, .. } = call.problem;
    for (name, (expected, got)) in ["first", "second"].iter().zip(expected.iter().zip(got)) {
        assert_eq!(expected.len(), got.len());
        let scale = expected.iter().fold(1.0f32, |scale, x| scale.max(x.abs()));
        for (place, (a, b)) in expected.iter().zip(got).enumerate() {
            let close = (a - b).abs() <= tolerance * scale;
            assert!(close, "{what}, {name} of T{frames} N{batch} H{hidden} reversed {reversed}, {place}: {a} and not {b}");
        }
    }
}

/// The same by matrices: weights and y in f16.
fn outcome_in_halves(context: &Context, call: &Call, layout: &Matrices, waiting: &Waiting) -> [Vec<f32>; 2] {
    let mut memory = Memory::forward(context, call);
    let half = |values: &[f32]| values.iter().map(|&x| nearest_half(x)).collect::<Vec<_>>();
    for (name, from) in [("weight_half", "weight_hh"), ("y_half", "y")] {
        let values = half(&memory.read(from));
        memory.tensors.push((name, Tensor::from_f16(context, &[values.len()], &values).unwrap()));
    }
    let mut recording = memory.recording();
    let caps = context.caps();
    let weight = BufferId(memory.place("weight_half"));
    let packed = matrices::pack(&mut recording, caps, &call.problem, layout, weight);
    let [gx, weight, units, sequences, states, y, undone] =
        memory.windows(&recording, ["gx", "weight_half", "units", "sequences", "states", "y_half", "undone"]);
    let windows = [gx, recording.whole(packed), weight, units, sequences, states, y, undone];
    let params = local::forward_params(&call.problem, (0, call.problem.frames), 0, call.slots());
    matrices::forward(&mut recording, caps, &call.problem, (layout, waiting), &windows, &params);
    memory.run(context, &recording);
    assert!(memory.read("undone").iter().all(|word| word.to_bits() == 0));
    [memory.read("y_half"), kept_states(&memory, call)]
}

/// On devices that have no matrices there is nothing to compare.
#[test]
fn matrices_agree_with_steps() {
    for context in contexts() {
        let caps = context.caps();
        println!("{}: matrices {:?}", caps.adapter, caps.matrices);
        let Some(side) = caps.matrices.filter(|_| caps.coherent) else { continue };
        let mut compared = 0;
        for (number, cell) in cells().iter().enumerate() {
            for hidden in [8, 32, 40] {
                let layout = |[tiles, tile_groups, depth_groups, chunks]: [u32; 4]| {
                    let depth = (hidden as u32).div_ceil(side).next_multiple_of(depth_groups);
                    Matrices { side, tiles, depth, tile_groups, depth_groups, group: chunks * side }
                };
                // Two workgroups for the units at most.
                let tiles = (hidden as u32 * 4).div_ceil(2 * side).next_multiple_of(2);
                let layouts = [layout([tiles, 2, 2, 1]), layout([tiles, 1, 8, 2]), layout([tiles, 2, 4, 1])];
                let faults: &[_] = if number == 0 { &[None, Some((0, 0)), Some((1, 3))] } else { &[None] };
                let call = |frames, batch| Call::new(cell, frames, batch, hidden).half(cell);
                let calls = [
                    call(6, 1),
                    call(1, 3),
                    call(5, 2 * u64::from(side)).keeping_all(),
                    call(6, 4).reversed().lengths(&[6, 3, 0, 1]).keeping_all(),
                    call(6, 3).lengths(&[2, 0, 6]).resets(&[(1, 0), (3, 2), (0, 2), (4, 0)]),
                    call(6, 3).reversed().lengths(&[2, 4, 6]).resets(&[(1, 0), (5, 1), (2, 2), (5, 2)]),
                    call(7, 11).reversed().zoneout(0.25, 0.5),
                ];
                for (place, call) in calls.iter().enumerate() {
                    let expected = outcome_forward(&context, call, &Tier::Stepped);
                    let layout = &layouts[(place + number) % layouts.len()];
                    if !layout.fits(caps, call.problem.shape.states as u32) {
                        continue;
                    }
                    for &fault in faults {
                        let waiting = Waiting { fault, ..Waiting::of(caps) };
                        let got = outcome_in_halves(&context, call, layout, &waiting);
                        compared += 1;
                        // Sums of another order may round to the neighbouring f16.
                        assert_near(&format!("{} {layout:?} {fault:?}", cell.name()), call, &expected, &got, 1e-3);
                    }
                }
            }
        }
        assert!(compared > 60, "{compared}");
    }
}

fn contexts() -> Vec<Context> {
    match Context::new_blocking(ContextOptions::from_env().with_shader_checks(true)) {
        Ok(context) => vec![context],
        Err(error) if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") => {
            println!("{error}");
            Vec::new()
        }
        Err(error) => panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"),
    }
}

fn cells() -> Vec<Cell> {
    vec![
        Cell::lstm(),
        LstmOptions { peepholes: true, cell_clip: Some(1.0), ..LstmOptions::default() }.build().unwrap(),
        Cell::gru(),
        Cell::li_gru(),
        Cell::rnn(Activation::Tanh).unwrap(),
        Cell::s_lstm(ForgetGate::Exponential),
    ]
}

fn calls(cell: &Cell, hidden: u64) -> Vec<Call> {
    let call = |frames, batch| Call::new(cell, frames, batch, hidden);
    vec![
        call(6, 1),
        call(1, 3),
        call(5, 2).keeping_all(),
        call(6, 4).reversed().lengths(&[6, 3, 0, 1]).keeping_all(),
        call(6, 3).lengths(&[2, 0, 6]).resets(&[(1, 0), (3, 2), (0, 2), (4, 0)]),
        call(6, 3).reversed().lengths(&[2, 4, 6]).resets(&[(1, 0), (5, 1), (2, 2), (5, 2)]),
        call(7, 2).reversed().zoneout(0.25, 0.5),
    ]
}

/// Two workgroups for the units, which is what software adapters on two cores run together; lanes of some shapes.
fn geometries(caps: &Caps, hidden: u64) -> Vec<Geometry> {
    let shapes = [([2, 4], [4, 2, 2]), ([4, 8], [2, 1, 1]), ([1, 4], [4, 4, 1]), ([3, 4], [3, 1, 1])];
    let geometry = |(lane, batch): ([u32; 2], [u32; 3])| {
        let lanes = (hidden as u32).div_ceil(2 * lane[0]).next_power_of_two();
        Geometry::new(caps, hidden as u32, lane, lanes, batch)
    };
    shapes
        .map(geometry)
        .into_iter()
        .filter(|geometry| geometry.fits(caps, false, true, true) && geometry.fits(caps, true, true, true))
        .collect()
}

#[test]
fn tiers_agree_on_any_device() {
    for context in contexts() {
        let caps = context.caps();
        for (number, cell) in cells().iter().enumerate() {
            let sizes: &[u64] = if number == 0 { &[1, 3, 7, 16, 33] } else { &[7] };
            for (size, &hidden) in sizes.iter().enumerate() {
                // Each shape of lanes with some size; where workgroups stop is not the cell's affair.
                let mut all = geometries(caps, hidden);
                let shapes = all.len();
                all.rotate_left((number + size) % shapes.max(1));
                let faults: &[_] = if number == 0 { &[None, Some((0, 0)), Some((1, 3))] } else { &[None] };
                for call in calls(cell, hidden) {
                    let states = outcome_forward(&context, &call, &Tier::Stepped);
                    let gradients = outcome_backward(&context, &call, &Tier::Stepped);
                    assert_same("local", &call, &states, &outcome_forward(&context, &call, &Tier::Local));
                    assert_same("local back", &call, &gradients, &outcome_backward(&context, &call, &Tier::Local));
                    for geometry in &all[..2.min(shapes)] {
                        let what = format!("{} {geometry:?}", cell.name());
                        if caps.together >= 2 {
                            assert_same(&what, &call, &states, &outcome_forward(&context, &call, &Tier::Waiting(geometry)));
                            assert_same(&what, &call, &gradients, &outcome_backward(&context, &call, &Tier::Waiting(geometry)));
                        }
                        for &fault in faults {
                            let tier = Tier::Persistent(geometry, Waiting { fault, ..Waiting::of(caps) });
                            let what = format!("{what} {fault:?}");
                            assert_same(&what, &call, &states, &outcome_forward(&context, &call, &tier));
                            assert_same(&what, &call, &gradients, &outcome_backward(&context, &call, &tier));
                        }
                    }
                }
            }
        }
    }
}

/// An LSTM of which only c is normalised, with a bias but no gain.
fn normed_state() -> Cell {
    let norm = Norm { span: NormSpan::Gate, gain: false, bias: true, eps: Norm::EPS };
    let gates = ["input", "forget", "cell", "output"];
    let cell = Cell::builder("LSTM with a normalised state").gates(&gates).recurrent(&gates).states(&["h", "c"]);
    let cell = cell.norms(Norms { input: None, recurrent: None, state: Some((1, norm)) }).update(|u| {
        let gate = |lane: usize| (u.x[lane] + u.r[lane]).sigmoid();
        vec![u.s[0].constant(0.0), gate(1) * u.s[1] + gate(0) * (u.x[2] + u.r[2]).tanh()]
    });
    cell.output(|u, n| (u.x[3] + u.r[3]).sigmoid() * n.tanh()).build().unwrap()
}

fn normed_cells() -> Vec<Cell> {
    let gates = Some(NormSpan::Gate);
    vec![
        Cell::sli_gru(),
        Cell::layer_norm_lstm(),
        Cell::layer_norm_gru(),
        LstmOptions { layer_norm: gates, peepholes: true, ..LstmOptions::default() }.build().unwrap(),
        GruOptions { layer_norm: gates, ..GruOptions::default() }.build().unwrap(),
        normed_state(),
    ]
}

#[test]
fn tiers_agree_on_cells_with_norms() {
    for context in contexts() {
        let caps = context.caps();
        for (number, cell) in normed_cells().iter().enumerate() {
            let sizes: &[u64] = if number < 2 { &[1, 3, 16, 33] } else { &[7] };
            for (size, &hidden) in sizes.iter().enumerate() {
                let mut all = geometries(caps, hidden);
                let shapes = all.len();
                all.rotate_left((number + size) % shapes.max(1));
                let faults: &[_] = if [0, 1, 5].contains(&number) { &[None, Some((0, 0)), Some((1, 3))] } else { &[None] };
                for call in calls(cell, hidden) {
                    let states = outcome_forward(&context, &call, &Tier::Stepped);
                    assert_same("local", &call, &states, &outcome_forward(&context, &call, &Tier::Local));
                    let gradients = outcome_backward(&context, &call, &Tier::Stepped);
                    assert_same("local back", &call, &gradients, &outcome_backward(&context, &call, &Tier::Local));
                    for geometry in &all[..2.min(shapes)] {
                        let what = format!("{} {geometry:?}", cell.name());
                        let check = |what: &str, tier: &Tier<'_>| {
                            assert_same(what, &call, &states, &outcome_forward(&context, &call, tier));
                            assert_same(&format!("{what} back"), &call, &gradients, &outcome_backward(&context, &call, tier));
                        };
                        if caps.together >= 2 {
                            check(&what, &Tier::Waiting(geometry));
                        }
                        for &fault in faults {
                            let waiting = Waiting { fault, ..Waiting::of(caps) };
                            let what = format!("{what} {fault:?}");
                            check(&what, &Tier::Persistent(geometry, waiting));
                        }
                    }
                }
            }
        }
    }
}

/// Layers that take most of a card.
#[test]
fn large_layers_agree_on_cards() {
    for context in contexts().into_iter().filter(|context| context.caps().together >= 64) {
        let caps = context.caps();
        for cell in normed_cells() {
            for (hidden, batch) in [(256, 3), (512, 16), (500, 5), (640, 1)] {
                let call = Call::new(&cell, 20, batch, hidden);
                let Some(geometry) = tier::geometry(caps, &call.problem, false) else { panic!("{} {hidden}", cell.name()) };
                let what = format!("{} {geometry:?}", cell.name());
                let states = outcome_forward(&context, &call, &Tier::Stepped);
                assert_same(&what, &call, &states, &outcome_forward(&context, &call, &Tier::Waiting(&geometry)));
                let Some(geometry) = tier::geometry(caps, &call.problem, true) else {
                    // What a normalised state takes besides leaves no room for some.
                    assert!(cell.norms().state.is_some() && hidden > 512, "{} {hidden} back", cell.name());
                    continue;
                };
                let what = format!("{} back {geometry:?}", cell.name());
                let gradients = outcome_backward(&context, &call, &Tier::Stepped);
                assert_same(&what, &call, &gradients, &outcome_backward(&context, &call, &Tier::Waiting(&geometry)));
            }
        }
    }
}

/// y, the last state, and all gradients of a call in training.
fn trained(context: &Context, cell: &Cell, reversed: bool) -> Vec<Vec<f32>> {
    let [frames, batch, inputs, hidden] = [19, 3, 5, 24];
    let count = |names: usize| names * hidden;
    let (gates, rows) = (count(cell.gates().len()), count(cell.recurrent().len()));
    let [weight_ih, weight_hh] = [noise(gates * inputs, 1, 0.4), noise(rows * hidden, 2, 0.2)];
    let (bias_ih, bias_hh) = (noise(gates, 3, 0.2), noise(rows, 4, 0.2));
    let vector = noise(4 * hidden, 5, 0.5);
    let names = LayerWeights::parameters_of(cell);
    let parameters: Vec<(&str, &[f32])> = names.iter().map(|(name, vectors)| (&**name, &vector[..vectors * hidden])).collect();
    let weights = LayerWeights {
        input_size: inputs,
        hidden_size: hidden,
        weight_ih: &weight_ih,
        weight_hh: &weight_hh,
        bias: Some((&bias_ih, &bias_hh)),
        parameters: &parameters,
    };
    let layer = Layer::new(context, cell, &weights).unwrap();
    let layer = if reversed { layer.reversed() } else { layer };
    let waits = layer.plan(frames, batch).unwrap().to_string().contains("cell_persistent");
    assert_eq!(waits, context.caps().together > 0);
    let tensor = |side: usize, seed| Tensor::from_slice(context, &[frames, batch, side], &noise(frames * batch * side, seed, 1.0)).unwrap();
    let run = RunOptions { lengths: Some(&[19, 7, 12]), resets: &[(4, 0), (11, 2)], ..RunOptions::default() };
    let (y, state, tape) = layer.train_blocking(&tensor(inputs, 6), &TrainOptions { run, seed: 3, ..TrainOptions::default() }).unwrap();
    let gradients = layer.backward_blocking(&tape, &tensor(hidden, 7), None).unwrap();
    let Gradients { x, weight_ih, bias_ih, weight_hh, units, state: d_state, .. } = gradients;
    let tensors = [&y, state.tensor(), &x.unwrap(), &weight_ih, &bias_ih, &weight_hh, &units, d_state.tensor()];
    tensors.map(|tensor| tensor.to_vec_blocking().unwrap()).into()
}

#[test]
fn layers_take_workgroups_that_run_together_and_give_the_same() {
    for cell in [Cell::lstm(), Cell::gru(), Cell::li_gru(), Cell::sli_gru(), Cell::layer_norm_lstm()] {
        for reversed in [false, true] {
            let expected = trained(&Context::cpu(), &cell, reversed);
            // Several stretches, and one.
            for limit in [12_000, 1 << 20] {
                let options = ContextOptions::from_env().with_shader_checks(true).with_max_binding_bytes(limit).with_workgroups_together(2);
                let context = match Context::new_blocking(options) {
                    Ok(context) => context,
                    Err(error) if std::env::var("WEFT_TEST_NO_GPU").is_ok_and(|v| v == "1") => return println!("{error}"),
                    Err(error) => panic!("{error} (WEFT_TEST_NO_GPU=1 skips the GPU)"),
                };
                for (place, (expected, got)) in expected.iter().zip(trained(&context, &cell, reversed)).enumerate() {
                    let scale = expected.iter().fold(1.0f32, |scale, x| scale.max(x.abs()));
                    for (a, b) in expected.iter().zip(&got) {
                        assert!((a - b).abs() <= 2e-5 * scale, "{} reversed {reversed}, {limit} B, {place}: {a} and not {b}", cell.name());
                    }
                }
            }
        }
    }
}

#[test]
fn a_plan_says_which_tier_it_takes() {
    let problem = Call::new(&Cell::lstm(), 50, 1, 64).problem;
    let names = |together| {
        let caps = Caps { together, ..Caps::portable() };
        let recording = super::forward(&caps, &problem, false).unwrap().0;
        [recording.to_string(), super::backward(&caps, &problem, true).unwrap().0.to_string()]
    };
    assert!(names(0).iter().all(|plan| !plan.contains("cell_persistent")));
    let [forward, backward] = names(132);
    assert!(forward.contains("cell_persistent ") && forward.contains("cell_local ") && !forward.contains("cell_step"), "{forward}");
    assert!(backward.contains("cell_persistent_gradient ") && !backward.contains("cell_step_gradient"), "{backward}");
}

/// All products over all frames of a layer in f16 are by matrices where the device has them, but not those of little work.
#[test]
fn products_of_halves_are_by_matrices() {
    let names = |caps: &Caps, cell: &Cell, [frames, batch, hidden]: [u64; 3]| {
        let problem = Problem { input_size: 80, ..Call::new(cell, frames, batch, hidden).half(cell).problem };
        super::backward(caps, &problem, true).unwrap().0.to_string()
    };
    let card = Caps { matrices: Some(16), max_workgroup_bytes: 49_152, together: 132, ..Caps::portable() };
    let plain = Caps { matrices: None, ..card.clone() };
    for cell in [Cell::lstm(), Cell::gru(), Cell::li_gru(), Cell::rnn(Activation::Tanh).unwrap()] {
        let large = names(&card, &cell, [500, 64, 1024]);
        assert!(large.contains("dense_gemm_coop_nt") && large.contains("dense_gemm_coop_nn") && large.contains("dense_gemm_coop_tn"));
        assert!(
            !large.contains("dense_gemm_pack4") && !large.contains("dense_gemm_f16") && large.contains("dense_narrow_lines"),
            "{large}"
        );
        for plan in [names(&card, &cell, [20, 2, 64]), names(&plain, &cell, [500, 64, 1024])] {
            assert!(!plan.contains("dense_narrow") && !plan.contains("dense_gemm_coop_tn"), "{plan}");
        }
    }
    // What the second product multiplies is no f16.
    let two = names(&card, &Cell::gru_reset_before(), [500, 64, 1024]);
    assert!(two.contains("dense_gemm_coop_tn") && two.contains("dense_gemm_pack4 "), "{two}");
}
