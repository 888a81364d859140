//! What training keeps of a call, and the gradients that follow from it.

use super::plan::{self, Problem, Zoneout};
use super::sequences::Checked;
use super::{Layer, State};
use crate::device::RunReport;
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor};
use std::fmt;

/// What [`Layer::train`] keeps: x, and the states before every frame. It lives on the device.
#[derive(Clone)]
pub struct Tape {
    pub(super) x: Tensor,
    pub(super) states: Option<Tensor>,
    pub(super) sequences: Option<Tensor>,
    pub(super) checked: Checked,
    pub(super) zoneout: Zoneout,
    pub(super) report: RunReport,
}

/// Gradients of a layer; they stay on the device.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Of x [T, N, I], zero past the ends; if it was asked for.
    pub x: Option<Tensor>,
    /// [X H, I]
    pub weight_ih: Tensor,
    /// [X H]
    pub bias_ih: Tensor,
    /// [R H, H]
    pub weight_hh: Tensor,
    /// [R + P + G, H]: of bias_hh, of the cell's parameters, then of the gains of its product's norm, and of gain and bias of its
    /// state's.
    pub units: Tensor,
    /// [X H]: of the gain of the norm of W x, if there is one.
    pub norm_ih: Option<Tensor>,
    /// Of the state before the first frame.
    pub state: State,
    /// What the run did and took.
    pub report: RunReport,
}

impl Tape {
    /// Bytes of the states that it keeps; x comes on top, which is shared with the caller.
    pub fn bytes(&self) -> u64 {
        self.states.as_ref().map_or(0, Tensor::bytes)
    }

    /// What the forward call did and took.
    pub fn report(&self) -> &RunReport {
        &self.report
    }

    pub(super) async fn backward(&self, layer: &Layer, dy: &Tensor, d_state: Option<&State>, wants_dx: bool) -> Result<Gradients> {
        let &Checked { frames, batch, .. } = &self.checked;
        let context = &layer.context;
        let hidden = layer.hidden_size;
        dy.expect_f32("dy")?;
        if dy.shape() != [frames, batch, hidden] {
            let expected = format!("[{frames}, {batch}, {hidden}], as y");
            return Err(Error::Shape { argument: "dy", expected, got: format!("{:?}", dy.shape()) });
        }
        if let Some(state) = d_state {
            layer.check_state("d_state", state, batch)?;
        }
        let expected = [layer.shape.states as usize, frames + 1, batch, hidden];
        if let Some(other) = self.states.as_ref().filter(|states| states.shape() != expected) {
            let expected = format!("{expected:?}: the tape of a call of this layer");
            return Err(Error::Shape { argument: "tape", expected, got: format!("{:?}", other.shape()) });
        }
        let like = |tensor: &Tensor| Tensor::empty(context, tensor.shape(), DType::F32);
        let Some(states) = &self.states else {
            // No frames, or no sequences.
            let zeros = |shape: &[usize]| Tensor::zeros(context, shape, DType::F32);
            return Ok(Gradients {
                x: wants_dx.then(|| zeros(self.x.shape())).transpose()?,
                weight_ih: zeros(layer.weight_ih.shape())?,
                bias_ih: zeros(&[layer.shape.inputs as usize * hidden])?,
                weight_hh: zeros(layer.weight_hh.shape())?,
                units: zeros(layer.units.shape())?,
                norm_ih: layer.norm_ih.gain.as_ref().map(|gain| zeros(gain.shape())).transpose()?,
                state: d_state.cloned().map_or_else(|| State::zeros(context, &layer.cell, batch, hidden), Ok)?,
                report: RunReport::default(),
            });
        };
        let problem = Problem { zoneout: self.zoneout, training: true, ..layer.problem([frames, batch], d_state.is_some()) };
        let problem = self.checked.apply(problem);
        let recording = plan::backward(context.caps_together().await?, &problem, wants_dx)?;
        let dx = wants_dx.then(|| like(&self.x)).transpose()?;
        let [weight_ih, weight_hh, units] = [like(&layer.weight_ih)?, like(&layer.weight_hh)?, like(&layer.units)?];
        let bias_ih = Tensor::empty(context, &[layer.shape.inputs as usize * hidden], DType::F32)?;
        let norm_ih = layer.norm_ih.gain.as_ref().map(like).transpose()?;
        let state = Tensor::empty(context, &[layer.shape.states as usize, batch, hidden], DType::F32)?;
        let mut bound = vec![&self.x, &layer.weight_ih];
        bound.extend(&layer.bias_ih);
        bound.extend(&layer.norm_ih.gain);
        bound.extend([&layer.weight_hh, &layer.units]);
        bound.extend(&self.sequences);
        bound.extend([states, dy]);
        bound.extend(d_state.map(State::tensor));
        bound.extend(&dx);
        bound.extend([&weight_ih, &bias_ih]);
        bound.extend(&norm_ih);
        bound.extend([&weight_hh, &units, &state]);
        let report = context.run(&recording, &bound).await?;
        Ok(Gradients { x: dx, weight_ih, bias_ih, weight_hh, units, norm_ih, state: State::of(state)?, report })
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tape of {} frames of {} sequences, {} B", self.checked.frames, self.checked.batch, self.bytes())
    }
}
