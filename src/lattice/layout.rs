//! How a batch and its lattices lie in memory. Twin: `shaders/shared/lattice_layout.wgsl`.

use super::Kind;
use super::scores::Meaning;
#[cfg(not(target_family = "wasm"))]
use crate::error::{Result, within};
use crate::tensor::DType;
use std::ops::Range;

/// Steps of a sweep between two anchors of its variables.
pub(crate) const CHUNK: u32 = 8;
/// Words of the header of an utterance.
pub(crate) const HEADER: usize = 16;
/// Words of the largest window that any device grants: 4 GiB.
const WINDOW_WORDS: usize = 1 << 30;

/// Most utterances of a batch whose headers have so many words.
pub(super) fn most_utterances(header: usize) -> usize {
    WINDOW_WORDS / header
}

/// A checked batch, as plans see it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub meaning: Meaning,
    pub dtype: DType,
    /// V.
    pub vocab: usize,
    /// Elements of a row: V and the channels of durations.
    pub row: usize,
    pub parts: Vec<Part>,
    pub utterances: Vec<UtteranceShape>,
    /// Elements of a unit of `first_row` and `frame_stride`.
    pub unit: u64,
    /// Units from position to position.
    pub position_stride: u64,
    /// Whether rows follow each other in memory, utterance after utterance.
    pub dense: bool,
}

/// A tensor of scores.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub bytes: u64,
    pub utterances: Range<usize>,
}

/// Where an utterance lies in its part, and its lattice in there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UtteranceShape {
    pub frames: u32,
    pub labels: u32,
    pub begin_frame: u32,
    pub begin_label: u32,
    /// Positions a frame in the tensor.
    pub positions: u32,
    /// Rows in the tensor.
    pub rows: u64,
    pub first_row: u64,
    pub frame_stride: u64,
}

/// A pass over the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Row,
    Gradient { in_place: bool },
}

/// How scores lie in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    dtype: DType,
    /// Elements that every row begins at a multiple of, and that a row is a multiple of: 1, 2 or 4.
    granularity: usize,
}

impl Packing {
    /// Whether rows share words, as those of an odd number of halves do. Then their first elements need a launch of their own.
    pub fn is_unaligned(self) -> bool {
        self.dtype == DType::F16 && self.granularity == 1
    }

    /// Elements that a pass loads at once.
    pub fn elements(self, pass: Pass) -> usize {
        // Gradients are written by words.
        if self.is_unaligned() && pass != Pass::Row { 2 } else { self.granularity }
    }

    /// Flags of the variant of a pass, in the order of `shaders/variants`.
    pub fn flags(self, pass: Pass) -> Vec<&'static str> {
        let pack = match self.elements(pass) {
            4 => Some("pack4"),
            2 => Some("pack2"),
            _ => None,
        };
        let half = (self.dtype == DType::F16).then_some("f16");
        let unaligned = self.is_unaligned().then_some("unaligned");
        let in_place = (pass == Pass::Gradient { in_place: true }).then_some("in_place");
        [pack, half, unaligned, in_place].into_iter().flatten().collect()
    }
}

/// What one step of a sweep takes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stride {
    /// Four frames: lattices of two arcs.
    Quad,
    /// One frame: any arcs. Lines are frames then.
    Cell,
    /// One frame: any arcs. The lattice has the cells of a band only, as many a frame as its widest range has positions.
    Band,
}

impl Stride {
    pub fn of(kind: &Kind) -> Self {
        if kind.label_frames().is_some() { Self::Quad } else { Self::Cell }
    }

    /// Places of a direction, of so many, beyond those of its cells: for what no cell wants.
    pub fn spare(self, places: u64) -> u64 {
        match self {
            Self::Quad => (places / 64).clamp(64, 512),
            Self::Cell | Self::Band => 1,
        }
    }
}

impl UtteranceShape {
    /// Of rows that lie frame by frame behind those of other utterances.
    pub fn packed(frames: u32, labels: u32, first_row: u64) -> Self {
        Self::packed_of(labels + 1, [frames, labels], first_row)
    }

    /// The same, of so many positions a frame.
    fn packed_of(positions: u32, [frames, labels]: [u32; 2], first_row: u64) -> Self {
        Self {
            frames,
            labels,
            begin_frame: 0,
            begin_label: 0,
            positions,
            rows: u64::from(frames) * u64::from(positions),
            first_row,
            frame_stride: positions.into(),
        }
    }

    /// P, quads of frames; or frames.
    pub fn lines(&self, stride: Stride) -> u64 {
        match stride {
            Stride::Quad => u64::from(self.frames).div_ceil(4),
            Stride::Cell | Stride::Band => u64::from(self.frames),
        }
    }

    /// U + 1.
    pub fn columns(&self) -> u64 {
        u64::from(self.labels) + 1
    }

    /// Places of its lattice: quads of cells, or cells; one more stands for those outside of a band.
    pub fn places(&self, stride: Stride) -> u64 {
        match stride {
            Stride::Quad | Stride::Cell => self.lines(stride) * self.columns(),
            Stride::Band => self.lines(stride) * u64::from(self.positions) + 1,
        }
    }

    /// Places of a column that share an anchor, rounded up to a whole number of such runs. Cells of a band have each its own.
    fn chunks(&self, stride: Stride) -> u64 {
        match stride {
            Stride::Quad | Stride::Band => self.lines(stride),
            Stride::Cell => self.lines(stride).div_ceil(u64::from(CHUNK)),
        }
    }

    pub fn anchors(&self, stride: Stride) -> u64 {
        match stride {
            Stride::Quad | Stride::Cell => self.chunks(stride) * self.columns(),
            Stride::Band => self.places(stride),
        }
    }
}

impl Problem {
    pub fn new(meaning: Meaning, dtype: DType, vocab: usize, row: usize) -> Self {
        Self { meaning, dtype, vocab, row, parts: Vec::new(), utterances: Vec::new(), unit: row as u64, position_stride: 1, dense: true }
    }

    /// Rows of f32 logits that no tensor holds. `widths`: positions a frame of each utterance, if not all.
    ///
    /// # Errors
    /// [`LimitExceeded`](crate::Error::LimitExceeded) for more utterances, or rows of one, than kernels can count.
    #[cfg(not(target_family = "wasm"))]
    pub fn packed(vocab: usize, row: usize, [frames, labels]: [&[u32]; 2], widths: Option<&[u32]>) -> Result<Self> {
        within("utterances", frames.len() as u64, most_utterances(HEADER) as u64, "split the batch")?;
        let mut problem = Self::new(Meaning::Logits, DType::F32, vocab, row);
        let mut first = 0;
        for (n, (&frames, &labels)) in frames.iter().zip(labels).enumerate() {
            let positions = widths.map_or(labels + 1, |widths| widths[n]);
            let utterance = UtteranceShape::packed_of(positions, [frames, labels], first);
            within("rows of one utterance", utterance.rows, u64::from(u32::MAX), "cut the utterance into shorter ones")?;
            first += utterance.rows;
            problem.utterances.push(utterance);
        }
        Ok(problem)
    }

    /// The same cells, of which nothing but so many log-probabilities is kept.
    #[cfg(not(target_family = "wasm"))]
    pub fn gathered(self, channels: usize) -> Self {
        Self { meaning: Meaning::Gathered, vocab: channels, row: channels, unit: channels as u64, ..self }
    }

    /// Lays utterances out by strides, in elements.
    pub fn stride(&mut self, [n, t, u]: [usize; 3], elements: u64) {
        let gcd = |mut a: u64, mut b: u64| {
            while b > 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        self.unit = [n, t, u].into_iter().fold(0, |unit, stride| gcd(unit, stride as u64)).max(1);
        self.position_stride = u as u64 / self.unit;
        for (index, utterance) in self.utterances.iter_mut().enumerate() {
            utterance.first_row = (index * n) as u64 / self.unit;
            utterance.frame_stride = t as u64 / self.unit;
        }
        for part in &mut self.parts {
            part.bytes = elements * self.dtype.bytes();
        }
        self.dense = false;
    }

    pub(super) fn packing(&self) -> Packing {
        let strides = if self.dense { self.row as u64 } else { self.unit };
        let fits = |pack: usize| self.row.is_multiple_of(pack) && strides.is_multiple_of(pack as u64);
        Packing { dtype: self.dtype, granularity: [4, 2].into_iter().find(|&pack| fits(pack)).unwrap_or(1) }
    }

    /// Cells of all lattices.
    pub fn cells(&self) -> u64 {
        self.utterances.iter().map(|u| u64::from(u.frames) * u.columns()).sum()
    }
}

/// Headers of the utterances, in chunks that share a workspace.
pub(super) fn headers(problem: &Problem, chunks: &[Range<usize>], scales: &[f32], stride: Stride) -> Vec<u32> {
    let mut words = Vec::with_capacity(problem.utterances.len() * HEADER);
    for chunk in chunks {
        let (mut first_place, mut first_anchor) = (0, 0);
        for n in chunk.clone() {
            let u = &problem.utterances[n];
            words.extend([
                u.frames,
                u.labels,
                u.lines(stride) as u32,
                first_place as u32,
                first_anchor as u32,
                u.chunks(stride) as u32,
                0,
                u.first_row as u32,
                u.frame_stride as u32,
                u.positions,
                u.rows as u32,
                u.begin_frame,
                u.begin_label,
                0,
                scales[n].to_bits(),
                u.rows.checked_div(u64::from(u.positions)).unwrap_or_default() as u32,
            ]);
            first_place += u.places(stride);
            first_anchor += u.anchors(stride);
        }
    }
    words
}

/// Writes where labels and band of each utterance lie.
pub(super) fn set_places(words: &mut [u32], places: &[(u32, u32)]) {
    for (header, &(labels_at, band_at)) in words.chunks_exact_mut(HEADER).zip(places) {
        header[6] = labels_at;
        header[13] = band_at;
    }
}

/// Writes where the table of arcs of each utterance lies.
pub(super) fn set_tables(words: &mut [u32], tables: &[u32]) {
    for (header, &table_at) in words.chunks_exact_mut(HEADER).zip(tables) {
        header[15] = table_at;
    }
}
