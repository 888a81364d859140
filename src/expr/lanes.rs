//! Many units side by side, in f32: the twin of a cell's text. Each operation runs over a block of lanes before the next
//! one does, which keeps blocks in the first cache and lets the compiler use vectors.

use super::Function;
use super::graph::{Binary, Id, Node, Unary};
use super::{eval, math};

/// Lanes of a block.
const LANES: usize = 64;

type Block = [f32; LANES];

/// A function as steps on numbered blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    steps: Vec<Step>,
    constants: Vec<(u16, f32)>,
    /// Where each output stands at the end.
    results: Vec<u16>,
    blocks: usize,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    node: Node,
    to: u16,
    from: [u16; 4],
}

/// Memory that [`Function::eval_lanes`] works in. It grows with the first call and is then kept.
#[derive(Clone, Debug, Default)]
pub struct Scratch(Vec<Block>);

impl Program {
    /// Gives each node a block, and hands a block on when its value is read no more.
    pub fn new(nodes: &[Node], results: &[Id]) -> Self {
        let mut last = vec![0; nodes.len()];
        for (id, node) in nodes.iter().enumerate() {
            let (reads, count) = node.reads();
            for &read in &reads[..count] {
                last[read as usize] = id;
            }
        }
        for &id in results {
            last[id as usize] = usize::MAX;
        }
        let mut program = Self::default();
        let mut free: Vec<u16> = Vec::new();
        let mut place = vec![0u16; nodes.len()];
        for (id, &node) in nodes.iter().enumerate() {
            let (reads, count) = node.reads();
            let from = reads.map(|read| place[read as usize]);
            for (index, &read) in reads[..count].iter().enumerate() {
                let constant = matches!(nodes[read as usize], Node::Constant(_));
                if last[read as usize] == id && !constant && !reads[..index].contains(&read) {
                    free.push(place[read as usize]);
                }
            }
            // Constants are written once a call, before the first block: theirs must be blocks that nobody had before.
            let old = if matches!(node, Node::Constant(_)) { None } else { free.pop() };
            let to = old.unwrap_or_else(|| {
                program.blocks += 1;
                (program.blocks - 1) as u16
            });
            place[id] = to;
            match node {
                Node::Constant(bits) => program.constants.push((to, f32::from_bits(bits))),
                _ => program.steps.push(Step { node, to, from }),
            }
        }
        program.results = results.iter().map(|&id| place[id as usize]).collect();
        program
    }

    fn block(&self, blocks: &mut [Block], inputs: &[&[f32]], first: usize, count: usize) {
        for &Step { node, to, from } in &self.steps {
            let [a, b, x, y] = from.map(|place| &blocks[place as usize]);
            let mut out = [0.0; LANES];
            match node {
                Node::Input(index) => {
                    if let Some(input) = inputs.get(index as usize) {
                        out[..count].copy_from_slice(&input[first..first + count]);
                    }
                }
                Node::Constant(_) => {}
                Node::Unary(op, _) => unary(op, a, &mut out),
                Node::Binary(op, ..) => binary(op, a, b, &mut out),
                Node::Select(_) => {
                    for lane in 0..LANES {
                        out[lane] = if a[lane] < b[lane] { x[lane] } else { y[lane] };
                    }
                }
            }
            blocks[to as usize] = out;
        }
    }
}

fn unary(op: Unary, a: &Block, out: &mut Block) {
    match op {
        Unary::Neg => each(a, out, |x| -x),
        Unary::Exp => each(a, out, math::exp),
        Unary::Log => each(a, out, math::log),
        Unary::Sqrt => each(a, out, math::sqrt),
        Unary::Tanh => each(a, out, math::tanh),
        Unary::Sigmoid => each(a, out, math::sigmoid),
        Unary::Softplus => each(a, out, math::softplus),
        Unary::Sin => each(a, out, math::sin),
        Unary::Cos => each(a, out, math::cos),
        Unary::Abs => each(a, out, f32::abs),
        Unary::Sign => each(a, out, math::sign),
    }
}

#[inline(always)]
fn each(a: &Block, out: &mut Block, f: impl Fn(f32) -> f32) {
    for lane in 0..LANES {
        out[lane] = f(a[lane]);
    }
}

fn binary(op: Binary, a: &Block, b: &Block, out: &mut Block) {
    match op {
        Binary::Add => each_pair(a, b, out, |a, b| eval::binary(Binary::Add, a, b)),
        Binary::Sub => each_pair(a, b, out, |a, b| eval::binary(Binary::Sub, a, b)),
        Binary::Mul => each_pair(a, b, out, |a, b| eval::binary(Binary::Mul, a, b)),
        Binary::Div => each_pair(a, b, out, |a, b| eval::binary(Binary::Div, a, b)),
        Binary::Min => each_pair(a, b, out, |a, b| eval::binary(Binary::Min, a, b)),
        Binary::Max => each_pair(a, b, out, |a, b| eval::binary(Binary::Max, a, b)),
    }
}

#[inline(always)]
fn each_pair(a: &Block, b: &Block, out: &mut Block, f: impl Fn(f32, f32) -> f32) {
    for lane in 0..LANES {
        out[lane] = f(a[lane], b[lane]);
    }
}

impl Function {
    /// The outputs of many units, a lane each, in f32 as a GPU computes them. A lane's bits depend on nothing but the lane.
    ///
    /// Slices stand in the order of [`inputs`](Self::inputs) and [`outputs`](Self::outputs). As many lanes are computed as the
    /// shortest slice has; an input that is not given is 0, and an output that is not given is not written. Nothing is
    /// allocated once `scratch` has been used with this function.
    pub fn eval_lanes(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], scratch: &mut Scratch) {
        let program = &self.program;
        let lengths = inputs.iter().map(|slice| slice.len()).chain(outputs.iter().map(|slice| slice.len()));
        let lanes = lengths.min().unwrap_or_default();
        let blocks = &mut scratch.0;
        if blocks.len() < program.blocks {
            blocks.resize(program.blocks, [0.0; LANES]);
        }
        for &(place, value) in &program.constants {
            blocks[place as usize] = [value; LANES];
        }
        for first in (0..lanes).step_by(LANES) {
            let count = LANES.min(lanes - first);
            program.block(blocks, inputs, first, count);
            for (output, &place) in outputs.iter_mut().zip(&program.results) {
                output[first..first + count].copy_from_slice(&blocks[place as usize][..count]);
            }
        }
    }
}
