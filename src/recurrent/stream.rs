//! A few frames through all levels of a stack by one recording: what a stream takes, frame by frame, is mostly what recordings take.

use super::options::RunOptions;
use super::{Layer, State};
use crate::device::RunReport;
use crate::device::recording::Recording;
use crate::error::Result;
use crate::tensor::{DType, Tensor, declare};

/// Frames of such a call: more would have the workspace of all levels at once.
const MOST_FRAMES: usize = 8;

/// Whether these layers, each on top of the one before, can take a call as one recording.
pub(super) fn fits(layers: &[&Layer], x: &Tensor, states: &[State], options: &RunOptions<'_>) -> bool {
    let is_short = matches!(*x.shape(), [1..=MOST_FRAMES, batch, _] if batch > 0);
    let is_plain = states.len() == layers.len() && options.lengths.is_none() && options.resets.is_empty();
    is_short && is_plain && layers.iter().all(|layer| layer.can_be_recorded())
}

/// y, the new states and the report.
///
/// # Errors
/// As [`Layer::run`].
pub(super) async fn run(layers: &[&Layer], x: &Tensor, states: &[State]) -> Result<Option<(Tensor, Vec<State>, RunReport)>> {
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else { return Ok(None) };
    let context = first.context();
    let checked = first.check(x, &RunOptions::default())?;
    let sides = [checked.frames, checked.batch];
    for (layer, state) in layers.iter().zip(states) {
        layer.check_state("states", state, checked.batch)?;
    }
    let caps = context.caps_together().await?;
    let y = Tensor::empty(context, &[checked.frames, checked.batch, last.hidden_size()], DType::F32)?;
    let after: Vec<Tensor> =
        states.iter().map(|state| Tensor::empty(context, state.tensor().shape(), DType::F32)).collect::<Result<_>>()?;
    let (mut recording, mut bound) = (Recording::new(), Vec::new());
    let mut given = declare(&mut recording, &mut bound, "x", x);
    for (number, ((layer, state), after)) in layers.iter().zip(states).zip(&after).enumerate() {
        let [state, after] =
            [("state", state.tensor()), ("new_state", after)].map(|(label, tensor)| declare(&mut recording, &mut bound, label, tensor));
        let out = match number + 1 == layers.len() {
            true => declare(&mut recording, &mut bound, "y", &y),
            false => recording.workspace("hidden", 4 * (checked.frames * checked.batch * layer.hidden_size()) as u64),
        };
        layer.record((&mut recording, caps), &mut bound, sides, [given, state, after, out])?;
        given = out;
    }
    let report = context.run(&recording, &bound).await?;
    Ok(Some((y, after.into_iter().map(State::of).collect::<Result<_>>()?, report)))
}
