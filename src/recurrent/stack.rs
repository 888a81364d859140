//! Layers on top of each other, in one direction or both.

use super::between::{Between, Kind};
use super::options::{RunOptions, TrainOptions};
use super::{Cell, Gradients, Layer, State, Tape, Tier, stream};
use crate::device::{Context, RunReport};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::weights::Weights;
use std::fmt;

/// What a level of both directions gives to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// Side by side: forward, then reverse, twice as many numbers (PyTorch, ONNX, SpeechBrain).
    #[default]
    Concat,
    /// Their sum, as many numbers as each has.
    Sum,
}

/// One level of a [`Stack`].
#[derive(Clone, Debug)]
pub struct Level {
    forward: Layer,
    reverse: Option<Layer>,
}

impl Level {
    /// Of one direction, the layer's own.
    pub fn one(layer: Layer) -> Self {
        Self { forward: layer, reverse: None }
    }

    /// Of both directions: the first layer runs from the first frame to the last, the second is turned to run from the last to
    /// the first. They may be the same layer: then both share its weights, as in SpeechBrain's LiGRU.
    pub fn both(forward: Layer, reverse: Layer) -> Self {
        Self { forward, reverse: Some(reverse.reversed()) }
    }

    /// The layers, forward first.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.forward).chain(&self.reverse)
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.reverse.is_some())
    }
}

/// Layers on top of each other: each level takes what the one below gives.
///
/// ```
/// # fn main() -> weft::Result<()> {
/// use weft::recurrent::{Cell, Layer, LayerWeights, Level, Merge, RunOptions, Stack};
/// use weft::{Context, Tensor};
///
/// let gpu = Context::cpu();
/// let gru = |input_size| {
///     let (weight_ih, weight_hh) = (vec![0.1; 3 * 2 * input_size], [0.2; 3 * 2 * 2]);
///     let weights = LayerWeights { input_size, hidden_size: 2, weight_ih: &weight_ih, weight_hh: &weight_hh, bias: None, parameters: &[] };
///     Layer::new(&gpu, &Cell::gru(), &weights)
/// };
/// let levels = vec![Level::both(gru(3)?, gru(3)?), Level::both(gru(4)?, gru(4)?)];
/// let stack = Stack::new(levels, Merge::Concat)?;
/// let x = Tensor::from_slice(&gpu, &[5, 1, 3], &[0.5; 15])?;
/// let (y, states, _) = stack.run_blocking(&x, &[], &RunOptions::default())?;
/// assert_eq!((y.shape(), states.len()), (&[5, 1, 4][..], 4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Stack {
    levels: Vec<Level>,
    merge: Merge,
    dropout: f32,
}

impl Stack {
    /// Puts levels on top of each other, the first at the bottom.
    ///
    /// # Errors
    /// [`Error::Value`] without a level, [`Error::Shape`] if a layer does not take as many numbers as the level below gives, or the
    /// two directions of a level differ in their sizes, [`Error::OtherContext`].
    pub fn new(levels: Vec<Level>, merge: Merge) -> Result<Self> {
        let Some(first) = levels.first() else {
            return Err(Error::Value { argument: "levels", value: "[]".to_owned(), help: "a stack needs one at least" });
        };
        let mut width = first.forward.input_size();
        for (number, level) in levels.iter().enumerate() {
            let hidden = level.forward.output_size();
            for layer in level.layers() {
                if !layer.context().same_as(first.forward.context()) {
                    return Err(Error::OtherContext { argument: "levels" });
                }
                if layer.dtype() != first.forward.dtype() {
                    let value = format!("{:?} and {:?}", first.forward.dtype(), layer.dtype());
                    return Err(Error::Value { argument: "levels", value, help: "give layers of one type: Stack::to_f16" });
                }
                let got = [layer.input_size(), layer.output_size()];
                if got != [width, hidden] {
                    let expected = format!("{width} inputs and {hidden} outputs in level {number}");
                    return Err(Error::Shape { argument: "levels", expected, got: format!("{} inputs and {} outputs", got[0], got[1]) });
                }
            }
            width = outputs(level, merge);
        }
        Ok(Self { levels, merge, dropout: 0.0 })
    }

    /// Takes all levels from a file, by PyTorch's names: `PREFIX.weight_ih_l0`, `PREFIX.weight_ih_l0_reverse`, `…_l1` and so on, as
    /// many as there are.
    ///
    /// # Errors
    /// [`Error::Weights`] if there is no level, or as [`Layer::load`].
    pub fn load(context: &Context, cell: &Cell, weights: &Weights, prefix: &str) -> Result<Self> {
        let full = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        let mut levels = Vec::new();
        loop {
            let suffix = format!("_l{}", levels.len());
            if !levels.is_empty() && weights.shape(&full(&format!("weight_ih{suffix}"))).is_none() {
                return Self::new(levels, Merge::Concat);
            }
            let forward = Layer::load_suffixed(context, cell, weights, prefix, &suffix)?;
            let reverse = format!("{suffix}_reverse");
            levels.push(match weights.shape(&full(&format!("weight_ih{reverse}"))) {
                None => Level::one(forward),
                Some(_) => Level::both(forward, Layer::load_suffixed(context, cell, weights, prefix, &reverse)?),
            });
        }
    }

    /// The same stack with dropout between its levels: in training each number that a level gives to the next becomes 0 with this
    /// probability, and the others are multiplied by 1 / (1 - p).
    ///
    /// # Errors
    /// [`Error::Value`] unless it is at least 0 and less than 1.
    pub fn with_dropout(self, dropout: f32) -> Result<Self> {
        if !(0.0..1.0).contains(&dropout) {
            let value = crate::error::number(dropout);
            return Err(Error::Value { argument: "dropout", value, help: "give a probability: at least 0, less than 1" });
        }
        Ok(Self { dropout, ..self })
    }

    /// The same stack, all of whose layers have this tier: see [`Layer::with_tier`].
    #[must_use]
    pub fn with_tier(mut self, tier: impl Into<Option<Tier>>) -> Self {
        let tier = tier.into();
        for level in &mut self.levels {
            for layer in std::iter::once(&mut level.forward).chain(&mut level.reverse) {
                layer.tier = tier;
            }
        }
        self
    }

    /// The same stack, with all layers [in f16](Layer::to_f16): it takes x in f16 and gives y in f16.
    ///
    /// # Errors
    /// As [`Layer::to_f16`].
    pub async fn to_f16(&self) -> Result<Self> {
        let mut levels = Vec::new();
        for level in &self.levels {
            let reverse = match &level.reverse {
                Some(layer) => Some(layer.to_f16().await?),
                None => None,
            };
            levels.push(Level { forward: level.forward.to_f16().await?, reverse });
        }
        Ok(Self { levels, ..*self })
    }

    /// [`to_f16`](Self::to_f16), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn to_f16_blocking(&self) -> Result<Self> {
        pollster::block_on(self.to_f16())
    }

    /// The levels, the lowest first.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Numbers that y has of each frame.
    pub fn output_size(&self) -> usize {
        self.levels.last().map_or(0, |level| outputs(level, self.merge))
    }

    /// Layers of all levels: as many states go in and out, level by level, forward before reverse (PyTorch's order).
    pub fn layers(&self) -> usize {
        self.levels.iter().map(Level::directions).sum()
    }

    /// Runs all levels over x [T, N, I]: y [T, N, output_size], the states after the last frame, and what the runs did and took.
    /// `states` are those before the first frame, one for each layer, or none at all; that of `options` is left alone. A few frames with
    /// states, in one direction, are one recording.
    ///
    /// # Errors
    /// As [`Layer::run`]; [`Error::Shape`] if there are not as many states as layers.
    pub async fn run(&self, x: &Tensor, states: &[State], options: &RunOptions<'_>) -> Result<(Tensor, Vec<State>, RunReport)> {
        self.check_states(states)?;
        let layers: Vec<&Layer> = self.levels.iter().flat_map(Level::layers).collect();
        if layers.len() == self.levels.len()
            && stream::fits(&layers, x, states, options)
            && let Some(outcome) = stream::run(&layers, x, states).await?
        {
            return Ok(outcome);
        }
        let (mut report, mut last, mut y) = (RunReport::default(), Vec::new(), x.clone());
        for level in &self.levels {
            let mut given = Vec::new();
            for layer in level.layers() {
                let options = RunOptions { state: states.get(last.len()), ..*options };
                let (y, state, own) = layer.run(&y, &options).await?;
                report.add(&own);
                last.push(state);
                given.push(y);
            }
            y = self.between(level, None, 0).merge(given, &mut report).await?;
        }
        Ok((y, last, report))
    }

    /// As [`run`](Self::run), in training, with a tape for [`backward`](Self::backward).
    ///
    /// # Errors
    /// As [`Layer::train`].
    pub async fn train(&self, x: &Tensor, states: &[State], options: &TrainOptions<'_>) -> Result<(Tensor, Vec<State>, StackTape)> {
        self.check_states(states)?;
        let (mut tapes, mut last, mut y) = (Vec::new(), Vec::new(), x.clone());
        for (number, level) in self.levels.iter().enumerate() {
            let mut given = Vec::new();
            for layer in level.layers() {
                let run = RunOptions { state: states.get(last.len()), ..options.run };
                // Every layer draws its own.
                let seed = options.seed.wrapping_add(last.len() as u32);
                let (y, state, tape) = layer.train(&y, &TrainOptions { run, seed, ..*options }).await?;
                tapes.push(tape);
                last.push(state);
                given.push(y);
            }
            y = self.between(level, Some(options.seed), number).merge(given, &mut RunReport::default()).await?;
        }
        Ok((y, last, StackTape { tapes, seed: options.seed }))
    }

    /// Gradients of whatever `dy` is the gradient of, through a call of [`train`](Self::train): of x, and of each layer, in the order
    /// of the states. `d_states` are the gradients of the states that it gave, one for each layer, or none.
    ///
    /// # Errors
    /// As [`Layer::backward`].
    pub async fn backward(&self, tape: &StackTape, dy: &Tensor, d_states: &[State]) -> Result<(Tensor, Vec<Gradients>)> {
        self.check_states(d_states)?;
        let (mut all, mut end, mut d) = (Vec::new(), self.layers(), dy.clone());
        for (number, level) in self.levels.iter().enumerate().rev() {
            let begin = end - level.directions();
            let parts = self.between(level, Some(tape.seed), number).split(&d, level.forward.output_size()).await?;
            let mut own = Vec::new();
            for ((layer, dy), place) in level.layers().zip(&parts).zip(begin..end) {
                let tape = tape.tapes.get(place).ok_or_else(|| self.wrong("tape", tape.tapes.len()))?;
                own.push(layer.backward(tape, dy, d_states.get(place)).await?);
            }
            let dx: Vec<Tensor> = own.iter_mut().filter_map(|gradients| gradients.x.take()).collect();
            d = match dx.len() {
                1 => dx.into_iter().next().unwrap_or(d),
                _ => Between { kind: Kind::Sum, drop: 0.0, seed: 0 }.merge(dx, &mut RunReport::default()).await?,
            };
            all.splice(0..0, own);
            end = begin;
        }
        Ok((d, all))
    }

    /// [`run`](Self::run), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn run_blocking(&self, x: &Tensor, states: &[State], options: &RunOptions<'_>) -> Result<(Tensor, Vec<State>, RunReport)> {
        pollster::block_on(self.run(x, states, options))
    }

    /// [`train`](Self::train), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn train_blocking(&self, x: &Tensor, states: &[State], options: &TrainOptions<'_>) -> Result<(Tensor, Vec<State>, StackTape)> {
        pollster::block_on(self.train(x, states, options))
    }

    /// [`backward`](Self::backward), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn backward_blocking(&self, tape: &StackTape, dy: &Tensor, d_states: &[State]) -> Result<(Tensor, Vec<Gradients>)> {
        pollster::block_on(self.backward(tape, dy, d_states))
    }

    /// What stands between this level and the next; dropout in training only, and not after the last.
    fn between(&self, level: &Level, seed: Option<u32>, number: usize) -> Between {
        let kind = match (&level.reverse, self.merge) {
            (None, _) => Kind::One,
            (Some(_), Merge::Concat) => Kind::Concat,
            (Some(_), Merge::Sum) => Kind::Sum,
        };
        let drops = seed.is_some() && number + 1 < self.levels.len();
        Between { kind, drop: if drops { self.dropout } else { 0.0 }, seed: seed.unwrap_or_default().wrapping_add(number as u32) }
    }

    fn check_states(&self, states: &[State]) -> Result<()> {
        if states.is_empty() || states.len() == self.layers() { Ok(()) } else { Err(self.wrong("states", states.len())) }
    }

    fn wrong(&self, argument: &'static str, got: usize) -> Error {
        Error::Shape { argument, expected: format!("{}, one for each layer, or none", self.layers()), got: got.to_string() }
    }
}

fn outputs(level: &Level, merge: Merge) -> usize {
    level.forward.output_size() * if merge == Merge::Concat { level.directions() } else { 1 }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.levels).finish()
    }
}

/// What [`Stack::train`] keeps.
#[derive(Clone, Debug)]
pub struct StackTape {
    tapes: Vec<Tape>,
    seed: u32,
}

impl StackTape {
    /// Of each layer, in the order of the states.
    pub fn tapes(&self) -> &[Tape] {
        &self.tapes
    }
}
