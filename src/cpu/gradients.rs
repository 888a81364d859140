//! Gradients over or beside the scores that they are of. Twin of `shaders/shared/gradients.wgsl`.

use super::call::Call;
use super::parallel::for_each_chunk;
use super::scores::Elements;
use half::f16;

/// Rows that are worked on together.
const ROWS: usize = 256;

/// What a gradient pass writes, and the scores; `None`: they are in the same place.
pub(super) struct Gradients<'a> {
    half: bool,
    out: &'a mut [u32],
    scores: Option<&'a [u32]>,
}

impl<'a> Gradients<'a> {
    /// `None` for the launch that does the first elements of rows: here the launch before has done them with the others.
    pub fn of(call: &mut Call<'a>) -> Option<Self> {
        if call.constant("FIRSTS") != 0.0 {
            return None;
        }
        let scores = (!call.has_flag("in_place")).then(|| call.read(7));
        Some(Self { half: call.has_flag("f16"), out: call.write(6), scores })
    }

    /// Writes `rows` rows of `vocab` elements. `start` says where a row begins, `fill` fills one that holds zeros.
    pub fn write(
        &mut self,
        rows: usize,
        vocab: usize,
        start: impl Fn(usize) -> usize,
        fill: impl Fn(usize, Elements<'_>, &mut [f32]) + Sync + Send,
    ) {
        let mut values = vec![0.0; ROWS.min(rows) * vocab];
        for first in (0..rows).step_by(ROWS) {
            let values = &mut values[..ROWS.min(rows - first) * vocab];
            let scores = Elements::of(self.scores.unwrap_or(self.out), self.half);
            for_each_chunk(values, vocab, |place, values| {
                values.fill(0.0);
                fill(first + place, scores, values);
            });
            for (place, values) in values.chunks(vocab).enumerate() {
                self.store(start(first + place), values);
            }
        }
    }

    fn store(&mut self, start: usize, values: &[f32]) {
        if self.half {
            let out = &mut bytemuck::cast_slice_mut::<u32, f16>(self.out)[start..];
            out.iter_mut().zip(values).for_each(|(out, &x)| *out = f16::from_f32(x));
        } else {
            bytemuck::cast_slice_mut::<u32, f32>(self.out)[start..][..values.len()].copy_from_slice(values);
        }
    }
}
