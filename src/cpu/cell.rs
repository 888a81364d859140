//! Twins of `shaders/cell/*.wgsl`.

use super::Call;
use super::dense::dot;
use super::math::sigmoid;
use super::parallel::for_each_chunk;
use crate::device::shader::CellLstmStepParams;

/// Multiplications a piece of work should have before other cores are asked to help.
const PIECE: usize = 1 << 15;

/// Twin of `shaders/cell/lstm_step.wgsl`.
pub(super) fn lstm_step(call: &mut Call<'_>) {
    step(call, |x: [f32; 4], u, [_, c]: [f32; 2]| {
        let [i, f, g, o] = std::array::from_fn(|gate| x[gate] + u[gate]);
        let c = sigmoid(f) * c + sigmoid(i) * g.tanh();
        [sigmoid(o) * c.tanh(), c]
    });
}

/// Twin of `shaders/cell/gru_step.wgsl`.
pub(super) fn gru_step(call: &mut Call<'_>) {
    step(call, |x: [f32; 3], u, [h]: [f32; 1]| {
        let r = sigmoid(x[0] + u[0]);
        let z = sigmoid(x[1] + u[1]);
        let n = (x[2] + r * u[2]).tanh();
        [(1.0 - z) * n + z * h]
    });
}

/// Twin of `shaders/shared/stepped_tier.wgsl`: one step of every sequence. `update` takes one unit's
/// input projection, recurrent product and old state, h first, and gives its new state.
fn step<const GATES: usize, const STATES: usize>(
    call: &mut Call<'_>,
    update: impl Fn([f32; GATES], [f32; GATES], [f32; STATES]) -> [f32; STATES] + Sync + Send,
) {
    let p: CellLstmStepParams = call.params();
    let (batch, hidden) = (p.batch as usize, p.hidden as usize);
    let gx: &[f32] = call.read(1);
    let weight: &[f32] = call.read(2);
    let bias: &[f32] = call.read(3);
    let lengths: &[u32] = call.read(4);
    let state_in: &[f32] = call.read(5);
    let state_out: &mut [f32] = call.write(6);
    let y: &mut [f32] = call.write(7);

    let gx = &gx[p.gx_first as usize..];
    let runs = |n: usize| p.has_lengths == 0 || p.frame < lengths[n];
    let plane = batch * hidden;
    let mut states = vec![[0.0f32; STATES]; plane];
    let chunk = PIECE.div_ceil(GATES * hidden);
    for_each_chunk(&mut states, chunk, |index, states| {
        for (place, state) in states.iter_mut().enumerate() {
            let at = index * chunk + place;
            let (n, unit) = (at / hidden, at % hidden);
            *state = std::array::from_fn(|s| state_in[s * plane + at]);
            if runs(n) {
                let h = &state_in[n * hidden..][..hidden];
                let x = std::array::from_fn(|gate| gx[(n * GATES + gate) * hidden + unit]);
                let u = std::array::from_fn(|gate| {
                    let row = gate * hidden + unit;
                    let product = dot(&weight[row * hidden..][..hidden], h);
                    if p.has_bias != 0 { product + bias[row] } else { product }
                });
                *state = update(x, u, *state);
            }
        }
    });
    let y = &mut y[p.y_first as usize..][..plane];
    for (at, state) in states.iter().enumerate() {
        for (s, &value) in state.iter().enumerate() {
            state_out[s * plane + at] = value;
        }
        y[at] = if runs(at / hidden) { state[0] } else { 0.0 };
    }
}
