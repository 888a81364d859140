//! The transducer losses: the classic shapes of the literature. One line of [`SWEEPS`] is one family of rows.

use super::case::{self, Case, Labels, Ready};
use super::fill::{self, Block, Data, Filler, Look};
use std::ops::Range;
use std::rc::Rc;
use weft::lattice::{Blank, Gradients, Kind, LogProbs, Logits, LossBatch, Scores, TransducerLoss};
use weft::{Context, DType, Tensor};

/// T, U = labels + 1, V.
type Sides = [usize; 3];

/// As warp-rnnt's benchmark has them.
const SHAPES: &[Sides] = &[[150, 40, 28], [150, 20, 5000], [1500, 300, 50]];
const QUICK_SHAPES: &[Sides] = &[[15, 8, 28], [15, 4, 500], [60, 20, 10]];

/// 1024 tokens and the blank, as NeMo's models have them: rows of halves then begin in the middle of words.
const ODD_SHAPES: &[Sides] = &[[150, 40, 1025]];
const QUICK_ODD_SHAPES: &[Sides] = &[[16, 8, 29]];

const BATCHES: &[usize] = &[1, 16, 32, 64, 128];
const FEW: &[usize] = &[1, 16, 64];

const LOSS: Direction = Direction::Loss;
const GRADIENT: Direction = Direction::Gradient;
const IN_PLACE: Direction = Direction::InPlace;

/// Blanks of several frames, and durations, as in their papers.
const BIG_BLANKS: [u32; 3] = [2, 4, 8];
const DURATIONS: [u32; 5] = [0, 1, 2, 3, 4];
const SIGMA: f32 = 0.05;
/// Weight of the expected latency.
const LATENCY: f32 = 0.01;

/// A family of cases: every shape × batch × direction of one setting.
#[derive(Clone, Copy)]
struct Sweep {
    op: Op,
    input: Input,
    dtype: DType,
    layout: Layout,
    lengths: Lengths,
    data: Data,
    /// Those of `--quick` are the second.
    shapes: [&'static [Sides]; 2],
    batches: &'static [usize],
    directions: &'static [Direction],
}

#[derive(Clone, Copy)]
enum Op {
    Rnnt,
    /// With the expected latency.
    Latency,
    MultiBlank,
    Tdt,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Logits,
    LogProbs,
    /// Log-probabilities of the blank and of the next label.
    Gathered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Padded,
    Packed,
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
    InPlace,
}

const RNNT: Sweep = Sweep {
    op: Op::Rnnt,
    input: Input::Logits,
    dtype: DType::F32,
    layout: Layout::Padded,
    lengths: Lengths::Full,
    data: Data::Flat,
    shapes: [SHAPES, QUICK_SHAPES],
    batches: BATCHES,
    directions: &[LOSS, GRADIENT, IN_PLACE],
};
const RAGGED: Sweep = Sweep { lengths: Lengths::Ragged, batches: FEW, directions: &[LOSS, GRADIENT], ..RNNT };

const BAND: Sweep = Sweep { data: Data::Band, batches: FEW, directions: &[GRADIENT], ..RNNT };
const ODD: Sweep = Sweep { shapes: [ODD_SHAPES, QUICK_ODD_SHAPES], batches: FEW, directions: &[LOSS, GRADIENT], ..RNNT };

const SWEEPS: &[Sweep] = &[
    RNNT,
    Sweep { dtype: DType::F16, ..RNNT },
    Sweep { input: Input::Gathered, directions: &[LOSS, GRADIENT], ..RNNT },
    Sweep { input: Input::LogProbs, batches: FEW, directions: &[GRADIENT], ..RNNT },
    Sweep { op: Op::MultiBlank, batches: FEW, directions: &[LOSS, GRADIENT], ..RNNT },
    Sweep { op: Op::Tdt, batches: FEW, directions: &[LOSS, GRADIENT], ..RNNT },
    RAGGED,
    Sweep { layout: Layout::Packed, ..RAGGED },
    BAND,
    Sweep { op: Op::MultiBlank, ..BAND },
    Sweep { op: Op::Tdt, ..BAND },
    Sweep { op: Op::Latency, batches: FEW, directions: &[LOSS, GRADIENT], ..RNNT },
    ODD,
    Sweep { dtype: DType::F16, directions: &[LOSS, GRADIENT, IN_PLACE], ..ODD },
];

/// Every case of the table, in its order.
pub fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for sweep in SWEEPS {
        for &sides in sweep.shapes[usize::from(quick)] {
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
        op: match sweep.op {
            Op::Rnnt => "rnnt",
            Op::Latency => "rnnt-latency",
            Op::MultiBlank => "multi-blank",
            Op::Tdt => "tdt",
        },
        input: match sweep.input {
            Input::Logits => "logits",
            Input::LogProbs => "log-probs",
            Input::Gathered => "gathered",
        },
        dtype: if sweep.dtype == DType::F16 { "f16" } else { "f32" },
        layout: if sweep.layout == Layout::Packed { "packed" } else { "padded" },
        lengths: if sweep.lengths == Lengths::Ragged { "ragged" } else { "full" },
        data: if sweep.data == Data::Band { "band" } else { "flat" },
        direction: match direction {
            Direction::Loss => "loss",
            Direction::Gradient => "loss+grad",
            Direction::InPlace => "loss+grad-in-place",
        },
    };
    let prepare = Box::new(move |gpu: &Context| Batch::new(sweep, sides, n).ready(gpu, direction));
    Case { labels, shape: vec![("t", t), ("u", u), ("v", v), ("n", n)], prepare }
}

impl Op {
    /// The lattice of a vocabulary whose blank is 0 and whose last symbols are the big blanks.
    fn kind(self, vocab: usize) -> weft::Result<Kind> {
        let blank = Blank(0);
        match self {
            Self::Rnnt | Self::Latency => Ok(Kind::rnnt(blank)),
            Self::MultiBlank => {
                let symbols = labelled(vocab) as u32..;
                let blanks: Vec<(u32, u32)> = symbols.zip(BIG_BLANKS).collect();
                Kind::multi_blank(blank, &blanks)?.under_normalised(SIGMA)
            }
            Self::Tdt => Kind::tdt(blank, &DURATIONS)?.under_normalised(SIGMA),
        }
    }
}

/// Labels are below this, whatever the kind.
fn labelled(vocab: usize) -> usize {
    vocab - BIG_BLANKS.len()
}

/// What the host knows of a batch.
struct Batch {
    sweep: Sweep,
    sides: Sides,
    /// Values a cell.
    row: usize,
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
        let row = match (sweep.input, sweep.op) {
            (Input::Gathered, _) => 2,
            (_, Op::Tdt) => v + DURATIONS.len(),
            _ => v,
        };
        let targets = (0..n).flat_map(|i| (0..u - 1).map(move |j| fill::label(i, j, labelled(v)))).collect();
        Self { sweep, sides: [t, u, v], row, targets, frames: length(t), labels: length(u - 1) }
    }

    /// Frames and positions that an utterance takes in memory.
    fn block(&self, utterance: usize) -> [usize; 2] {
        match self.sweep.layout {
            Layout::Padded => [self.sides[0], self.sides[1]],
            Layout::Packed => [self.frames[utterance] as usize, self.labels[utterance] as usize + 1],
        }
    }

    /// Elements of an utterance in memory.
    fn elements(&self, utterance: usize) -> usize {
        self.block(utterance).iter().product::<usize>() * self.row
    }

    /// Utterances of each tensor: as many as a buffer holds.
    fn parts(&self, max_bytes: u64) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut bytes = u64::MAX;
        for utterance in 0..self.frames.len() {
            let more = self.elements(utterance) as u64 * self.sweep.dtype.bytes();
            match parts.last_mut().filter(|_| bytes.saturating_add(more) <= max_bytes) {
                Some(part) => (part.end, bytes) = (utterance + 1, bytes + more),
                None => {
                    parts.push(utterance..utterance + 1);
                    bytes = more;
                }
            }
        }
        parts
    }

    /// An empty tensor for each part, with the blocks that fill it.
    fn tensors(&self, gpu: &Context) -> weft::Result<Vec<(Tensor, Vec<Block>)>> {
        let tensor = |part: Range<usize>| {
            let mut blocks = Vec::new();
            let mut first = 0;
            for utterance in part.clone() {
                let [t, u] = self.block(utterance);
                let (frames, labels) = (self.frames[utterance], self.labels[utterance]);
                blocks.push(Block { utterance, first, sides: [t, u, self.row], frames, labels });
                first += self.elements(utterance) as u64;
            }
            let shape = match self.sweep.layout {
                Layout::Padded => vec![part.len(), self.sides[0], self.sides[1], self.row],
                Layout::Packed => vec![first as usize / self.row, self.row],
            };
            Ok((Tensor::empty(gpu, &shape, self.sweep.dtype)?, blocks))
        };
        self.parts(gpu.caps().max_buffer_bytes).into_iter().map(tensor).collect()
    }

    fn look(&self) -> Look {
        // Of log-probabilities no row sums to more than 1.
        let offset = if self.sweep.input == Input::Logits { 0.0 } else { -1.0 - (self.row as f32).ln() };
        Look { data: self.sweep.data, labelled: labelled(self.sides[2]), durations: self.row - self.row.min(self.sides[2]), offset }
    }

    fn scores<'a>(&self, tensors: impl Iterator<Item = &'a Tensor>) -> Scores<'a> {
        let parts: Vec<&Tensor> = tensors.collect();
        match (self.sweep.input, self.sweep.layout) {
            (Input::Logits, Layout::Padded) => Logits::padded_parts(parts).into(),
            (Input::Logits, Layout::Packed) => Logits::packed_parts(parts).into(),
            (Input::LogProbs, Layout::Padded) => LogProbs::padded_parts(parts).into(),
            (Input::LogProbs, Layout::Packed) => LogProbs::packed_parts(parts).into(),
            (Input::Gathered, Layout::Padded) => LogProbs::gathered(parts[0]).into(),
            (Input::Gathered, Layout::Packed) => LogProbs::gathered_packed(parts[0]).into(),
        }
    }

    /// Cells of the lattices, without the padding.
    fn cells(&self) -> u64 {
        self.frames.iter().zip(&self.labels).map(|(&t, &u)| u64::from(t) * u64::from(u + 1)).sum()
    }

    /// Least bytes to move: logits are read for the costs and again for their gradient, of log-probabilities only what the arcs
    /// weigh is read; every gradient is written, in the padding too.
    fn bytes(&self, direction: Direction) -> f64 {
        let of_a_cell = if self.sweep.input == Input::Logits { self.row } else { 2 };
        let read = (self.cells() * of_a_cell as u64 * self.sweep.dtype.bytes()) as f64;
        if direction == LOSS {
            return read;
        }
        let reads = if self.sweep.input == Input::Logits { 2.0 } else { 1.0 };
        reads * read + self.memory() as f64
    }

    /// Bytes of the scores.
    fn memory(&self) -> u64 {
        (0..self.frames.len()).map(|utterance| self.elements(utterance) as u64).sum::<u64>() * self.sweep.dtype.bytes()
    }

    fn ready(self, gpu: &Context, direction: Direction) -> weft::Result<Ready> {
        let gradients = match direction {
            Direction::Loss => Gradients::None,
            Direction::Gradient => Gradients::Separate,
            Direction::InPlace => Gradients::InPlace,
        };
        let mut loss = TransducerLoss::of(self.sweep.op.kind(self.sides[2])?).gradients(gradients);
        if matches!(self.sweep.op, Op::Latency) {
            loss = loss.min_latency(LATENCY);
        }
        let loss = loss.build(gpu)?;
        let tensors = Rc::new(self.tensors(gpu)?);
        let filler = Filler::new(gpu)?;
        let (filled, look) = (tensors.clone(), self.look());
        let fill = move || filled.iter().try_for_each(|(tensor, blocks)| filler.fill(tensor, blocks, look));
        fill()?;
        let workspace = {
            let scores = self.scores(tensors.iter().map(|(tensor, _)| tensor));
            loss.plan_batch(&LossBatch::new(scores, &self.targets, &self.frames, &self.labels))?.workspace_bytes()
        };
        let cells = Some(self.cells());
        let (bytes, results) = (self.bytes(direction), if direction == GRADIENT { self.memory() } else { 0 });
        let call = move || {
            let scores = self.scores(tensors.iter().map(|(tensor, _)| tensor));
            let out = loss.run_blocking(&LossBatch::new(scores, &self.targets, &self.frames, &self.labels))?;
            case::all_ok(&out.status, &out.costs, out.report)
        };
        let before: Option<Box<dyn Fn() -> weft::Result<()>>> = if direction == IN_PLACE { Some(Box::new(fill)) } else { None };
        Ok(Ready {
            call: Box::new(call),
            before,
            bytes,
            flops: None,
            cells,
            workspace: Some(workspace),
            results,
            materialised: None,
            steps: None,
        })
    }
}
