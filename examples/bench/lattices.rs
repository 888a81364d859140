//! The losses: the classic shapes of the transducer literature. One line of [`SWEEPS`] is one family of
//! rows.

use super::case::{Case, Labels, Ready};
use super::fill::{self, Block, Data};
use weft::lattice::{Blank, Logits, LossBatch, LossShape, Status, TransducerLoss};
use weft::{Context, DType, Error, Tensor};

/// T, U = labels + 1, V.
type Sides = [usize; 3];

/// As warp-rnnt's benchmark has them.
const SHAPES: &[Sides] = &[[150, 40, 28], [150, 20, 5000], [1500, 300, 50]];
const QUICK_SHAPES: &[Sides] = &[[15, 8, 28], [15, 4, 500], [60, 20, 10]];

const BATCHES: &[usize] = &[1, 16, 32, 64, 128];
const FEW: &[usize] = &[16, 64];

/// A family of cases: every shape × batch × direction of one setting.
#[derive(Clone, Copy)]
struct Sweep {
    lengths: Lengths,
    data: Data,
    batches: &'static [usize],
    directions: &'static [Direction],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    Full,
    /// Uniform between half and the whole; the first utterance has the whole.
    Ragged,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Loss,
    Gradient,
}

const RNNT: Sweep =
    Sweep { lengths: Lengths::Full, data: Data::Flat, batches: BATCHES, directions: &[Direction::Loss, Direction::Gradient] };

const SWEEPS: &[Sweep] = &[
    RNNT,
    Sweep { lengths: Lengths::Ragged, batches: FEW, ..RNNT },
    Sweep { data: Data::Band, batches: FEW, directions: &[Direction::Gradient], ..RNNT },
];

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for sweep in SWEEPS {
        for &sides in if quick { QUICK_SHAPES } else { SHAPES } {
            for &n in if quick { &[2] } else { sweep.batches } {
                cases.extend(sweep.directions.iter().map(|&direction| case(*sweep, sides, n, direction)));
            }
        }
    }
    cases
}

fn case(sweep: Sweep, sides: Sides, n: usize, direction: Direction) -> Case {
    let [t, u, v] = sides;
    let labels = Labels {
        op: "rnnt",
        input: "logits",
        dtype: "f32",
        layout: "padded",
        lengths: if sweep.lengths == Lengths::Ragged { "ragged" } else { "full" },
        data: if sweep.data == Data::Band { "band" } else { "flat" },
        direction: if direction == Direction::Loss { "loss" } else { "loss+grad" },
    };
    let prepare = Box::new(move |gpu: &Context| Batch::new(sweep, sides, n).ready(gpu, sweep.data, direction));
    Case { labels, shape: vec![("t", t), ("u", u), ("v", v), ("n", n)], prepare }
}

/// What the host knows of a batch.
struct Batch {
    sides: Sides,
    targets: Vec<u32>,
    frames: Vec<u32>,
    labels: Vec<u32>,
}

impl Batch {
    fn new(sweep: Sweep, [t, u, v]: Sides, n: usize) -> Self {
        // A low-discrepancy sequence (the golden ratio's): even over [0, 1) for any n.
        let share = |i: usize| match sweep.lengths {
            Lengths::Full => 1.0,
            Lengths::Ragged => 1.0 - 0.5 * (i as f64 * 0.618_033_988_75).fract(),
        };
        let length = |whole: usize| (0..n).map(|i| (whole as f64 * share(i)).round() as u32).collect();
        let targets = (0..n).flat_map(|i| (0..u - 1).map(move |j| fill::label(i, j, v))).collect();
        Self { sides: [t, u, v], targets, frames: length(t), labels: length(u - 1) }
    }

    /// Cells of the lattices, without the padding.
    fn cells(&self) -> usize {
        self.frames.iter().zip(&self.labels).map(|(&t, &u)| t as usize * (u as usize + 1)).sum()
    }

    fn ready(self, gpu: &Context, data: Data, direction: Direction) -> weft::Result<Ready> {
        let [t, u, v] = self.sides;
        let n = self.frames.len();
        let gradients = direction == Direction::Gradient;
        let loss = TransducerLoss::rnnt(Blank(0)).gradients(gradients).build(gpu)?;
        let shape = LossShape { utterances: n, frames: t, positions: u, vocab: v };
        let workspace = loss.plan(shape, gpu.caps())?.workspace_bytes();
        let logits = Tensor::empty(gpu, &[n, t, u, v], DType::F32)?;
        let block = |i: usize| Block { first: (i * t * u * v) as u64, sides: self.sides, frames: self.frames[i], labels: self.labels[i] };
        fill::fill(gpu, &logits, &(0..n).map(block).collect::<Vec<_>>(), data)?;
        // Two reads of what is valid, and every gradient written, in the padding too.
        let read = (self.cells() * v * 4) as f64;
        let results = if gradients { logits.bytes() } else { 0 };
        let bytes = if gradients { 2.0 * read + results as f64 } else { read };
        let call = move || {
            let batch = LossBatch::new(Logits::padded(&logits), &self.targets, &self.frames, &self.labels);
            let out = loss.run_blocking(&batch)?;
            // A time of the way out for bad utterances would be no time of the loss.
            match out.status.iter().position(|&status| status != Status::Ok) {
                Some(i) => Err(Error::Gpu { message: format!("utterance {i} came out as {:?}, cost {}", out.status[i], out.costs[i]) }),
                None => Ok(out.report),
            }
        };
        Ok(Ready { call: Box::new(call), bytes, workspace: Some(workspace), results })
    }
}
