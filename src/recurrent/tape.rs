//! What training keeps of a call, and the gradients that follow from it.

use super::plan::{self, Problem, WeightDrop, Zoneout};
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
    /// [N, P]: the h that was given, where it is projected.
    pub(super) h: Option<Tensor>,
    pub(super) states: Option<Tensor>,
    pub(super) sequences: Option<Tensor>,
    /// [T, N, H]: what was projected.
    pub(super) unprojected: Option<Tensor>,
    pub(super) checked: Checked,
    pub(super) zoneout: Zoneout,
    pub(super) weight_drop: WeightDrop,
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
    /// Of the shape of the weight: [R H, H], [R H, H / heads], or [R H, P].
    pub weight_hh: Tensor,
    /// [P, H], where h is projected.
    pub weight_hr: Option<Tensor>,
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
        self.states.iter().chain(&self.unprojected).map(Tensor::bytes).sum()
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
        if dy.shape() != [frames, batch, layer.output_size()] {
            let expected = format!("[{frames}, {batch}, {}], as y", layer.output_size());
            return Err(Error::Shape { argument: "dy", expected, got: format!("{:?}", dy.shape()) });
        }
        if let Some(state) = d_state {
            layer.check_state("d_state", state, batch)?;
        }
        let expected = [layer.shape.states as usize, frames + 1, batch, hidden];
        let is_other = |states: &&Tensor| states.shape() != expected || self.unprojected.is_some() != layer.weight_hr.is_some();
        if let Some(other) = self.states.as_ref().filter(is_other) {
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
                weight_hr: layer.weight_hr.as_ref().map(|weight| zeros(weight.shape())).transpose()?,
                units: zeros(layer.units.shape())?,
                norm_ih: layer.norm_ih.gain.as_ref().map(|gain| zeros(gain.shape())).transpose()?,
                state: d_state.cloned().map_or_else(|| layer.zero_state(batch), Ok)?,
                report: RunReport::default(),
            });
        };
        let problem = self.checked.apply(Problem {
            zoneout: self.zoneout,
            weight_drop: self.weight_drop,
            first_h: self.h.is_some(),
            training: true,
            ..layer.problem([frames, batch], d_state.is_some())
        });
        let caps = context.caps_together().await?;
        #[cfg(not(target_family = "wasm"))]
        plan::measure(context, caps, &problem, true).await?;
        let (recording, _) = plan::backward(caps, &problem, wants_dx)?;
        let dx = wants_dx.then(|| like(&self.x)).transpose()?;
        let [weight_ih, weight_hh, units] = [like(&layer.weight_ih)?, like(&layer.weight_hh)?, like(&layer.units)?];
        let bias_ih = Tensor::empty(context, &[layer.shape.inputs as usize * hidden], DType::F32)?;
        let norm_ih = layer.norm_ih.gain.as_ref().map(like).transpose()?;
        let weight_hr = layer.weight_hr.as_ref().map(like).transpose()?;
        let state = layer.empty_state(batch)?;
        let mut bound = vec![&self.x, &layer.weight_ih];
        bound.extend(&layer.bias_ih);
        bound.extend(&layer.norm_ih.gain);
        bound.push(&layer.weight_hh);
        bound.extend(&layer.weight_hr);
        bound.push(&layer.units);
        bound.extend(&self.sequences);
        bound.extend(self.h.iter().chain(&self.unprojected));
        bound.extend([states, dy]);
        bound.extend(d_state.into_iter().flat_map(State::parts));
        bound.extend(&dx);
        bound.extend([&weight_ih, &bias_ih]);
        bound.extend(&norm_ih);
        bound.push(&weight_hh);
        bound.extend(&weight_hr);
        bound.push(&units);
        bound.extend(state.parts());
        let report = context.run(&recording, &bound).await?;
        Ok(Gradients { x: dx, weight_ih, bias_ih, weight_hh, weight_hr, units, norm_ih, state, report })
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tape of {} frames of {} sequences, {} B", self.checked.frames, self.checked.batch, self.bytes())
    }
}
