//! How a batch is handed over: what its scores are, how they lie in memory, their type, where gradients go.

use weft::lattice::{Gradients, LogProbs, Logits, Scores};
use weft::{Context, DType, Tensor};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Logits,
    LogProbs,
    Gathered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Padded,
    /// In three tensors, one of them without an utterance.
    PaddedParts,
    /// Each utterance somewhere within the padded tensor.
    Begin,
    Packed,
    PackedParts,
    /// Positions outermost, frames, utterances; four elements between rows.
    Strided,
    /// The same with an odd number of elements between rows, and begins.
    Crooked,
}

#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub meaning: Meaning,
    pub layout: Layout,
    pub dtype: DType,
    pub gradients: Gradients,
}

/// What the padded logits of most tests are.
pub const PADDED: Form = Form { meaning: Meaning::Logits, layout: Layout::Padded, dtype: DType::F32, gradients: Gradients::Separate };

/// Every input and layout that goes with it.
pub fn inputs(gathered: bool) -> Vec<(Meaning, Layout)> {
    use Layout::{Begin, Crooked, Packed, PackedParts, Padded, PaddedParts, Strided};
    let full = [Padded, PaddedParts, Begin, Packed, PackedParts, Strided, Crooked];
    let mut all: Vec<_> =
        [Meaning::Logits, Meaning::LogProbs].into_iter().flat_map(|meaning| full.map(|layout| (meaning, layout))).collect();
    if gathered {
        all.extend([Padded, Begin, Packed].map(|layout| (Meaning::Gathered, layout)));
    }
    all
}

/// Where the rows of a batch lie.
pub struct Places {
    /// Shapes of the tensors.
    pub shapes: Vec<Vec<usize>>,
    /// (tensor, first element) of the rows of each utterance, [T, U + 1].
    pub rows: Vec<Vec<(usize, usize)>>,
    /// The same of every row that the scores have, padding too.
    pub all: Vec<(usize, usize)>,
    /// First frames and positions.
    begins: Option<[Vec<u32>; 2]>,
    strides: Option<([usize; 4], [usize; 3])>,
    channels: usize,
}

impl Places {
    /// `lengths`: frames and labels of each utterance.
    pub fn of(layout: Layout, lengths: &[[usize; 2]], channels: usize) -> Self {
        let longest = |side: usize| lengths.iter().map(|length| length[side]).max().unwrap_or(0);
        // Room for later begins, and lengths that are not those of the tensor.
        let sides = [lengths.len(), longest(0) + 2, longest(1) + 3];
        let [n, t, u1] = sides;
        let middle = n / 2;
        match layout {
            Layout::Padded => Self::padded(sides, lengths, channels, &[n], false),
            Layout::PaddedParts => Self::padded(sides, lengths, channels, &[middle, 0, n - middle], false),
            Layout::Begin => Self::padded(sides, lengths, channels, &[n], true),
            Layout::Packed => Self::packed(lengths, channels, &[n]),
            Layout::PackedParts => Self::packed(lengths, channels, &[middle, n - middle]),
            Layout::Strided | Layout::Crooked => {
                let row = channels + if layout == Layout::Strided { 4 } else { 1 };
                let strides = [row, n * row, n * t * row];
                let at = |n: usize, t: usize, u: usize| (0, n * strides[0] + t * strides[1] + u * strides[2]);
                let places = Self::grid(sides, lengths, vec![vec![n * t * u1 * row]], at, layout == Layout::Crooked, channels);
                Self { strides: Some(([n, t, u1, channels], strides)), ..places }
            }
        }
    }

    fn padded(sides: [usize; 3], lengths: &[[usize; 2]], channels: usize, parts: &[usize], begins: bool) -> Self {
        let [_, frames, positions] = sides;
        let part_of: Vec<(usize, usize)> = parts.iter().enumerate().flat_map(|(part, &count)| (0..count).map(move |n| (part, n))).collect();
        let at = |n: usize, t: usize, u: usize| {
            let (part, n) = part_of[n];
            (part, ((n * frames + t) * positions + u) * channels)
        };
        let shapes = parts.iter().map(|&count| vec![count, frames, positions, channels]).collect();
        Self::grid(sides, lengths, shapes, at, begins, channels)
    }

    fn grid(
        [n, t, u1]: [usize; 3],
        lengths: &[[usize; 2]],
        shapes: Vec<Vec<usize>>,
        at: impl Fn(usize, usize, usize) -> (usize, usize),
        begins: bool,
        channels: usize,
    ) -> Self {
        let begin = |i: usize| if begins { [(i + 1) % 3, i % 3] } else { [0, 0] };
        let cells = |t: usize, u1: usize| (0..t).flat_map(move |t| (0..u1).map(move |u| (t, u)));
        let rows = lengths.iter().enumerate().map(|(i, &[frames, labels])| {
            let [t0, u0] = begin(i);
            cells(frames, labels + 1).map(|(t, u)| at(i, t0 + t, u0 + u)).collect()
        });
        let all = (0..n).flat_map(|i| cells(t, u1).map(move |(t, u)| (i, t, u)));
        let side = |side: usize| (0..n).map(|i| begin(i)[side] as u32).collect();
        Self {
            shapes,
            rows: rows.collect(),
            all: all.map(|(i, t, u)| at(i, t, u)).collect(),
            begins: begins.then(|| [side(0), side(1)]),
            strides: None,
            channels,
        }
    }

    fn packed(lengths: &[[usize; 2]], channels: usize, parts: &[usize]) -> Self {
        let mut lengths = lengths.iter();
        let (mut rows, mut shapes) = (Vec::new(), Vec::new());
        for (part, &count) in parts.iter().enumerate() {
            let mut next = 0;
            for &[frames, labels] in lengths.by_ref().take(count) {
                let end = next + frames * (labels + 1);
                rows.push((next..end).map(|row| (part, row * channels)).collect::<Vec<_>>());
                next = end;
            }
            shapes.push(vec![next, channels]);
        }
        let all = rows.concat();
        Self { shapes, rows, all, begins: None, strides: None, channels }
    }

    /// Tensors with the rows of each utterance, [T, U + 1, C]; NaN everywhere else.
    pub fn fill(&self, values: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut parts: Vec<Vec<f32>> = self.shapes.iter().map(|shape| vec![f32::NAN; shape.iter().product()]).collect();
        for (rows, values) in self.rows.iter().zip(values) {
            for (&(part, first), row) in rows.iter().zip(values.chunks(self.channels)) {
                parts[part][first..first + self.channels].copy_from_slice(row);
            }
        }
        parts
    }

    /// The rows of each utterance, out of tensors.
    pub fn take(&self, parts: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let row = |&(part, first): &(usize, usize)| &parts[part][first..first + self.channels];
        self.rows.iter().map(|rows| rows.iter().flat_map(row).copied().collect()).collect()
    }

    /// Values of rows that belong to no utterance.
    pub fn padding(&self, parts: &[Vec<f32>]) -> Vec<f32> {
        let mut ours: Vec<_> = self.rows.concat();
        ours.sort_unstable();
        let outside = self.all.iter().filter(|place| ours.binary_search(place).is_err());
        outside.flat_map(|&(part, first)| &parts[part][first..first + self.channels]).copied().collect()
    }

    /// Values between the rows.
    pub fn gaps(&self, parts: &[Vec<f32>]) -> Vec<f32> {
        let mut is_row: Vec<Vec<bool>> = parts.iter().map(|part| vec![false; part.len()]).collect();
        for &(part, first) in &self.all {
            is_row[part][first..first + self.channels].fill(true);
        }
        let between = parts.iter().zip(&is_row).flat_map(|(part, is_row)| part.iter().zip(is_row));
        between.filter(|(_, is_row)| !**is_row).map(|(value, _)| *value).collect()
    }

    pub fn begins(&self) -> Option<[&[u32]; 2]> {
        self.begins.as_ref().map(|[frames, positions]| [&frames[..], &positions[..]])
    }

    pub fn scores<'a>(&self, meaning: Meaning, tensors: &'a [Tensor]) -> Scores<'a> {
        let parts: Vec<&Tensor> = tensors.iter().collect();
        let packed = self.shapes[0].len() == 2;
        match (meaning, self.strides) {
            (Meaning::Logits, Some((shape, strides))) => Logits::strided(parts[0], shape, strides).into(),
            (Meaning::Logits, None) if packed => Logits::packed_parts(parts).into(),
            (Meaning::Logits, None) => Logits::padded_parts(parts).into(),
            (Meaning::LogProbs, Some((shape, strides))) => LogProbs::strided(parts[0], shape, strides).into(),
            (Meaning::LogProbs, None) if packed => LogProbs::packed_parts(parts).into(),
            (Meaning::LogProbs, None) => LogProbs::padded_parts(parts).into(),
            (Meaning::Gathered, _) if packed => LogProbs::gathered_packed(parts[0]).into(),
            (Meaning::Gathered, _) => LogProbs::gathered(parts[0]).into(),
        }
    }
}

/// Uploads values in a type of storage.
pub fn upload(context: &Context, shape: &[usize], values: &[f32], dtype: DType) -> weft::Result<Tensor> {
    if dtype == DType::F16 {
        let values: Vec<half::f16> = values.iter().map(|&x| half::f16::from_f32(x)).collect();
        return Tensor::from_f16(context, shape, &values);
    }
    Tensor::from_slice(context, shape, values)
}
