//! GPU time of a run, by two timestamps a pass.

use std::time::Duration;

/// Passes that one query set holds.
const SET_PASSES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;
/// Bytes of the two timestamps of a pass.
const PASS_BYTES: u64 = 2 * wgpu::QUERY_SIZE as u64;

/// The timestamps of a run on their way.
pub(super) struct Timing {
    sets: Vec<wgpu::QuerySet>,
    passes: usize,
}

impl Timing {
    /// Bytes of the timestamps of so many passes.
    pub(super) fn bytes(passes: usize) -> u64 {
        passes as u64 * PASS_BYTES
    }

    pub(super) fn new(device: &wgpu::Device, passes: usize) -> Self {
        let set = |first| {
            device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("weft timing"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * SET_PASSES.min(passes - first) as u32,
            })
        };
        Self { sets: (0..passes).step_by(SET_PASSES).map(set).collect(), passes }
    }

    /// Where a pass writes the times of its begin and end.
    pub(super) fn writes(&self, pass: usize) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let first = 2 * (pass % SET_PASSES) as u32;
        self.sets.get(pass / SET_PASSES).map(|query_set| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        })
    }

    /// Encodes the way of the timestamps into a staging buffer.
    pub(super) fn resolve(&self, device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder, staging: &wgpu::Buffer) {
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("weft timing"),
            size: Self::bytes(self.passes),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        for (place, set) in self.sets.iter().enumerate() {
            let first = place * SET_PASSES;
            let queries = 2 * SET_PASSES.min(self.passes - first) as u32;
            encoder.resolve_query_set(set, 0..queries, &resolved, Self::bytes(first));
        }
        encoder.copy_buffer_to_buffer(&resolved, 0, staging, 0, Self::bytes(self.passes));
    }

    /// The sum over the passes, from the words of their timestamps and the nanoseconds of a tick.
    pub(super) fn sum(words: &[u32], period: f32) -> Duration {
        duration(words.chunks_exact(4).map(ticks).sum(), period)
    }

    /// The time of each pass, from the same.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn each(words: &[u32], period: f32) -> impl Iterator<Item = Duration> {
        words.chunks_exact(4).map(move |pass| duration(ticks(pass), period))
    }
}

/// Between the two timestamps of a pass.
fn ticks(pass: &[u32]) -> u64 {
    let tick = |words: &[u32]| u64::from(words[0]) | u64::from(words[1]) << 32;
    tick(&pass[2..]).saturating_sub(tick(&pass[..2]))
}

fn duration(ticks: u64, period: f32) -> Duration {
    Duration::from_nanos((ticks as f64 * f64::from(period)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_passes_add_up_whatever_lies_between_them() {
        let words = [5, 0, 9, 0, u32::MAX, 1, 1, 2, 7, 0, 3, 0];
        // 4 ticks, then 2 across the upper word, then a clock that went backwards.
        assert_eq!(Timing::sum(&words, 1.5), Duration::from_nanos(9));
    }
}
