// The LSTM cell (PyTorch's), for any tier: gates i, f, g, o; state h, c. Twin: src/cpu/cell.rs.
// A tier that imports this declares the bindings gx, weight_hh, bias_hh.
#import activation

alias Gates = vec4f;
const GATES = 4u;
const STATES = 2u;

fn gx_at(at: u32, stride: u32) -> Gates {
    return vec4f(gx[at], gx[at + stride], gx[at + 2u * stride], gx[at + 3u * stride]);
}

fn weight_at(at: u32, stride: u32) -> Gates {
    return vec4f(weight_hh[at], weight_hh[at + stride], weight_hh[at + 2u * stride], weight_hh[at + 3u * stride]);
}

fn bias_at(at: u32, stride: u32) -> Gates {
    return vec4f(bias_hh[at], bias_hh[at + stride], bias_hh[at + 2u * stride], bias_hh[at + 3u * stride]);
}

// x: input projection of one unit; u: its recurrent product; old: its (h, c) before the step.
fn update(x: Gates, u: Gates, old: vec2f) -> vec2f {
    let a = x + u;
    let c = sigmoid(a.y) * old.y + sigmoid(a.x) * tanh_safe(a.z);
    return vec2f(sigmoid(a.w) * tanh_safe(c), c);
}
