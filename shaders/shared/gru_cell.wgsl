// The GRU cell (PyTorch's, reset after the product), for any tier: gates r, z, n; state h.
// Twin: src/cpu/cell.rs. A tier that imports this declares the bindings gx, weight_hh, bias_hh.
#import activation

alias Gates = vec3f;
const GATES = 3u;
const STATES = 1u;

fn gx_at(at: u32, stride: u32) -> Gates {
    return vec3f(gx[at], gx[at + stride], gx[at + 2u * stride]);
}

fn weight_at(at: u32, stride: u32) -> Gates {
    return vec3f(weight_hh[at], weight_hh[at + stride], weight_hh[at + 2u * stride]);
}

fn bias_at(at: u32, stride: u32) -> Gates {
    return vec3f(bias_hh[at], bias_hh[at + stride], bias_hh[at + 2u * stride]);
}

// x: input projection of one unit; u: its recurrent product; old.x: its h before the step.
fn update(x: Gates, u: Gates, old: vec2f) -> vec2f {
    let r = sigmoid(x.x + u.x);
    let z = sigmoid(x.y + u.y);
    let n = tanh_safe(x.z + r * u.z);
    return vec2f((1.0 - z) * n + z * old.x, 0.0);
}
