// A sample of what fills the slot of the kernels that run cells (src/recurrent/program.rs prints the others): an
// LSTM, with all else that a cell may have. All lanes of the vectors that a cell does not have are 0.

// Gates of the input projection, rows of the recurrent product, states, and parameters, each a unit.
const CELL_INPUTS = 4u;
const CELL_ROWS = 4u;
const CELL_STATES = 2u;
const CELL_PARAMETERS = 0u;
// Masks, each for a sequence and unit.
const CELL_MASKS = 0u;
// 1 if the cell knows the two only as their sum: then it may be given for the projection, with a product of 0.
const CELL_SUMMED = 1u;
// How many of the rows, the last ones, are multiplied with cell_mid.
const CELL_SECOND = 1u;
// Normalisation of the product: what has a mean of its own, 0: nothing, 1: all rows, 2: each row of all units; whether it has
// gains; and the bits of eps. The gains stand behind the parameters.
const CELL_NORM = 1u;
const CELL_NORM_GAIN = 1u;
const CELL_NORM_EPS = 925353388u;
// Likewise of a state, if it is not 0: its number. Its gain and its bias stand behind the gains.
const CELL_STATE_NORM = 1u;
const CELL_STATE_GAIN = 1u;
const CELL_STATE_BIAS = 1u;
const CELL_STATE_EPS = 925353388u;
// Rows of the product, without empty lanes.
alias CellRows = vec4f;

fn cell_narrow(r: vec4f) -> CellRows {
    return r;
}

fn cell_wide(r: CellRows) -> vec4f {
    return r;
}

// Of those with h, and of those with cell_mid.
alias CellFirst = vec3f;

fn cell_narrow_first(r: vec4f) -> CellFirst {
    return r.xyz;
}

fn cell_wide_first(r: CellFirst) -> vec4f {
    return vec4f(r, 0.0);
}

alias CellSecond = f32;

fn cell_narrow_second(r: vec4f) -> CellSecond {
    return r.w;
}

fn cell_wide_second(r: CellSecond) -> vec4f {
    return vec4f(0.0, 0.0, 0.0, r);
}

fn cell_sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

fn cell_tanh(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    return sign(x) * (1.0 - e) / (1.0 + e);
}

// New states, h first, of input projection, recurrent product, old states, parameters and masks.
fn cell_update(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f) -> vec4f {
    let g = x + r;
    let c = cell_sigmoid(g.y) * s.y + cell_sigmoid(g.x) * cell_tanh(g.z);
    return vec4f(cell_sigmoid(g.w) * cell_tanh(c), c, 0.0, 0.0);
}

struct CellGradient {
    x: vec4f,
    r: vec4f,
    s: vec4f,
    p: vec4f,
}

// Gradients of what cell_update takes, of those of the new states.
fn cell_gradient(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, d: vec4f) -> CellGradient {
    let g = x + r;
    let i = cell_sigmoid(g.x);
    let f = cell_sigmoid(g.y);
    let z = cell_tanh(g.z);
    let o = cell_sigmoid(g.w);
    let t = cell_tanh(f * s.y + i * z);
    let dc = d.y + d.x * o * (1.0 - t * t);
    let dg = vec4f(dc * z * i * (1.0 - i), dc * s.y * f * (1.0 - f), dc * i * (1.0 - z * z), d.x * t * o * (1.0 - o));
    return CellGradient(dg, dg, vec4f(0.0, dc * f, 0.0, 0.0), vec4f(0.0));
}

// What the second product multiplies.
fn cell_mid(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f) -> f32 {
    return (x.x + r.x) * s.x;
}

fn cell_mid_gradient(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, d: f32) -> CellGradient {
    let g = vec4f(d * s.x, 0.0, 0.0, 0.0);
    return CellGradient(g, g, vec4f(d * (x.x + r.x), 0.0, 0.0, 0.0), vec4f());
}

// h of the new states, and of the normalised one.
fn cell_output(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, n: f32) -> f32 {
    return (x.w + r.w) * n;
}

struct CellOutputGradient {
    x: vec4f,
    r: vec4f,
    s: vec4f,
    p: vec4f,
    n: f32,
}

fn cell_output_gradient(x: vec4f, r: vec4f, s: vec4f, p: vec4f, m: vec4f, n: f32, d: f32) -> CellOutputGradient {
    let g = vec4f(0.0, 0.0, 0.0, d * n);
    return CellOutputGradient(g, g, vec4f(), vec4f(), d * (x.w + r.w));
}
