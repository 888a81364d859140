//! The planes of a lattice as kernels leave them, read back. Twins: `shaders/shared/lattice_layout.wgsl` for the places,
//! `shaders/shared/scaled.wgsl` for the words.

use super::graph::Planes;
use crate::cpu::LOG2_NEVER;
use crate::device::Context;
use crate::error::Result;
use crate::lattice::Band;
use crate::lattice::layout::{CHUNK, Stride, UtteranceShape};
use crate::lattice::plan::Workspace;
use crate::tensor::{DType, Tensor};

/// Frames of a quad.
const FRAMES: usize = 4;
/// Words of a binding that any kernel takes.
const LEAST_WORDS: usize = 16;

/// The tensors of the lattices of a chunk.
pub(super) struct Tensors {
    space: Workspace,
    arcs: Tensor,
    lattice: Tensor,
    anchors: Tensor,
}

/// The lattices of a chunk.
#[derive(Debug)]
pub(super) struct Kept {
    stride: Stride,
    /// Places and anchors of one direction.
    places: usize,
    anchors_each: usize,
    /// Weights. Quads of frames: blanks of all, then labels of all. Cells: pairs of arcs, of all cells together.
    arcs: Vec<u32>,
    /// Forward, then backward variables. Cells: log2, relative to an anchor. Quads: `shaders/shared/quads.wgsl`.
    lattice: Vec<u32>,
    /// Exponents that the variables are relative to: forward, backward.
    anchors: Vec<u32>,
}

/// Where an utterance lies among those of its chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    frames: usize,
    labels: usize,
    /// Lines of its diagonals: quads of frames, or frames.
    lines: usize,
    /// Places of a frame, if the lattice has the cells of a band only.
    positions: usize,
    first: usize,
    first_anchor: usize,
}

/// The lattice of an utterance that is ok.
pub(super) struct CellPlanes<'a> {
    pub kept: &'a Kept,
    pub place: Place,
    /// Where lattices have the cells of bands only.
    pub band: Option<&'a Band>,
    /// Exponent and rest of the log2 of the summed weight of all paths.
    pub total: (i32, f32),
}

impl Tensors {
    pub fn new(context: &Context, space: Workspace) -> Result<Self> {
        let words = |bytes: u64| Tensor::empty(context, &[(bytes as usize / 4).max(LEAST_WORDS)], DType::U32);
        let (arcs, lattice, anchors) = (words(space.arcs_bytes())?, words(space.lattice_bytes())?, words(space.anchors_bytes())?);
        Ok(Self { space, arcs, lattice, anchors })
    }

    /// What a plan that keeps lattices declares last, in its order.
    pub fn bound(&self) -> [&Tensor; 3] {
        [&self.arcs, &self.lattice, &self.anchors]
    }

    /// The planes of lattices of so many arcs.
    pub async fn read(&self, arcs: usize) -> Result<Kept> {
        let stride = self.space.per.stride;
        // Without the normalisers.
        let words = match stride {
            Stride::Quad => 8,
            Stride::Cell | Stride::Band => 2 * arcs.div_ceil(2) as u64,
        };
        Ok(Kept {
            stride,
            places: self.space.places as usize,
            anchors_each: self.space.anchors as usize,
            arcs: self.arcs.first_words(words * self.space.places).await?,
            lattice: self.lattice.first_words(self.space.lattice_bytes() / 4).await?,
            anchors: self.anchors.first_words(self.space.anchors_bytes() / 4).await?,
        })
    }
}

impl Place {
    /// Places of utterances that follow each other in a chunk.
    pub fn of_chunk(shapes: &[UtteranceShape], stride: Stride) -> impl Iterator<Item = Self> + '_ {
        let (mut first, mut first_anchor) = (0, 0);
        shapes.iter().map(move |shape| {
            let place = Self {
                frames: shape.frames as usize,
                labels: shape.labels as usize,
                lines: shape.lines(stride) as usize,
                positions: shape.positions as usize,
                first,
                first_anchor,
            };
            first += shape.places(stride) as usize;
            first_anchor += shape.anchors(stride) as usize;
            place
        })
    }

    pub fn frames(&self) -> usize {
        self.frames
    }

    pub fn labels(&self) -> usize {
        self.labels
    }

    /// The place of line p of column u.
    fn at(&self, p: usize, u: usize) -> usize {
        // 32 bits divide faster.
        let line = (p + u) as u32 % self.lines as u32;
        self.first + line as usize * (self.labels + 1) + u
    }

    /// The anchor of step k of column j, in the coordinates of a direction.
    fn anchor_at(&self, k: usize, j: usize) -> usize {
        self.first_anchor + k / CHUNK as usize * (self.labels + 1) + j
    }
}

impl CellPlanes<'_> {
    /// The place of a cell of the band.
    fn band_place(&self, t: usize, u: usize) -> Option<usize> {
        let [first, last] = *self.band?.ranges().get(t)?;
        let Place { first: begin, positions, .. } = self.place;
        (first as usize..=last as usize).contains(&u).then(|| begin + t * positions + u % positions)
    }

    /// A variable of direction 0 or 1; `s` and `j` count frames and columns in the coordinates of the direction.
    fn variable(&self, direction: usize, t: usize, u: usize, s: usize, j: usize) -> f64 {
        let (kept, place) = (self.kept, &self.place);
        let first = direction * (kept.places + kept.stride.spare(kept.places as u64) as usize);
        match kept.stride {
            Stride::Quad => {
                let at = first + place.at(t / FRAMES, u);
                let (y, word) = (kept.lattice[FRAMES * at + t % FRAMES], kept.anchors[at] as i32);
                let x = if word & 1 == 1 { log2_value(y) } else { f64::from(f32::from_bits(y)).log2() };
                f64::from(word >> 1) + x
            }
            Stride::Cell => {
                let anchor = kept.anchors[direction * (kept.anchors_each + 1) + place.anchor_at(s, j)] as i32;
                f64::from(anchor) + log2_value(kept.lattice[first + place.at(t, u)])
            }
            Stride::Band => {
                let Some(at) = self.band_place(t, u) else { return f64::NEG_INFINITY };
                f64::from(kept.anchors[direction * (kept.anchors_each + 1) + at] as i32) + log2_value(kept.lattice[first + at])
            }
        }
    }
}

/// A base-2 logarithm from its word.
fn log2_value(word: u32) -> f64 {
    let x = f32::from_bits(word);
    if x < LOG2_NEVER { f64::NEG_INFINITY } else { f64::from(x) }
}

impl Planes for CellPlanes<'_> {
    fn weight(&self, t: usize, u: usize, arc: usize) -> f64 {
        let cell = |place: usize| 2 * (arc / 2 * self.kept.places + place) + arc % 2;
        let at = match self.kept.stride {
            Stride::Quad => FRAMES * (arc * self.kept.places + self.place.at(t / FRAMES, u)) + t % FRAMES,
            Stride::Cell => cell(self.place.at(t, u)),
            Stride::Band => match self.band_place(t, u) {
                Some(place) => cell(place),
                None => return f64::NEG_INFINITY,
            },
        };
        weight_log2(self.kept.arcs[at])
    }

    fn forward(&self, t: usize, u: usize) -> f64 {
        self.variable(0, t, u, t, u)
    }

    fn backward(&self, t: usize, u: usize) -> f64 {
        self.variable(1, t, u, self.place.frames - 1 - t, self.place.labels - u)
    }

    fn total(&self) -> f64 {
        f64::from(self.total.0) + f64::from(self.total.1)
    }
}

/// log2 of an arc's weight from its word; 0 is an arc without probability.
pub(in crate::lattice) fn weight_log2(word: u32) -> f64 {
    if word < 0x8000_0000 {
        return f64::from(f32::from_bits(word)).log2();
    }
    log2_value(word << 1)
}
