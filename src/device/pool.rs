//! Recycled GPU buffers: making one costs milliseconds at worst, taking one back costs nothing.

use super::table::Table;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What a buffer is for; pooled apart, because WebGPU forbids mixing mapping and storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Storage,
    Uniform,
    Staging,
}

impl Purpose {
    fn usage(self) -> wgpu::BufferUsages {
        use wgpu::BufferUsages as U;
        match self {
            Self::Storage => U::STORAGE | U::COPY_SRC | U::COPY_DST,
            Self::Uniform => U::UNIFORM | U::COPY_DST,
            Self::Staging => U::MAP_READ | U::COPY_DST,
        }
    }
}

/// Buffers that nobody holds, by purpose and size class.
#[derive(Default)]
struct Free {
    buffers: Table<(Purpose, u64), Vec<wgpu::Buffer>>,
    /// Counts the times that memory ran out. Buffers from before may be invalid, and are not taken back.
    epoch: u64,
}

/// Recycles the buffers of one device.
pub(super) struct Pool {
    device: wgpu::Device,
    max_bytes: u64,
    free: Mutex<Free>,
}

impl Pool {
    pub(super) fn new(device: wgpu::Device, max_bytes: u64) -> Arc<Self> {
        Arc::new(Self { device, max_bytes, free: Mutex::default() })
    }

    /// A buffer of at least `bytes`, with arbitrary content, and whether it was made for this call. The
    /// caller has checked `bytes` against the limit and catches out-of-memory by an error scope.
    pub(super) fn take(self: &Arc<Self>, purpose: Purpose, bytes: u64) -> (GpuBuffer, bool) {
        let class = size_class(bytes).min(self.max_bytes & !3).max(bytes.next_multiple_of(4));
        let (pooled, epoch) = {
            let mut free = self.lock();
            (free.buffers.entry((purpose, class), Vec::new).pop(), free.epoch)
        };
        let fresh = pooled.is_none();
        let buffer = pooled.unwrap_or_else(|| {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("weft"),
                size: class,
                usage: purpose.usage(),
                mapped_at_creation: false,
            })
        });
        (GpuBuffer { buffer, purpose, class, epoch, pool: Arc::downgrade(self) }, fresh)
    }

    /// Gives every unused buffer back to the driver: work already submitted still has it. Browsers would
    /// wait for their garbage collector otherwise.
    pub(super) fn trim(&self) {
        let unused = std::mem::take(&mut self.lock().buffers);
        unused.into_values().flatten().for_each(|buffer| buffer.destroy());
    }

    /// Memory ran out: gives back what is unused, and takes back no buffer that was made so far.
    pub(super) fn discard(&self) {
        self.lock().epoch += 1;
        self.trim();
    }

    /// Gives up the buffers that nobody holds, and tells the bytes of those that kernels use.
    #[cfg(test)]
    pub(super) fn take_idle_bytes(&self) -> u64 {
        let unused = std::mem::take(&mut self.lock().buffers);
        let used_by_kernels = |buffer: &wgpu::Buffer| !buffer.usage().contains(wgpu::BufferUsages::MAP_READ);
        unused.into_values().flatten().filter(used_by_kernels).map(|buffer| buffer.size()).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that goes back to its pool when dropped. Work already submitted may still use it: the
/// queue runs in order, so a later owner's commands come after. A staging buffer may still be mapped, and
/// goes back by [`recycle`](Self::recycle) only.
pub(crate) struct GpuBuffer {
    pub(super) buffer: wgpu::Buffer,
    purpose: Purpose,
    class: u64,
    epoch: u64,
    pool: Weak<Pool>,
}

impl GpuBuffer {
    /// Gives an unmapped staging buffer back.
    pub(super) fn recycle(self) {
        self.give_back();
    }

    fn give_back(&self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut free = pool.lock();
        if free.epoch == self.epoch {
            free.buffers.entry((self.purpose, self.class), Vec::new).push(self.buffer.clone());
        } else {
            drop(free);
            self.buffer.destroy();
        }
    }
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        if self.purpose != Purpose::Staging {
            self.give_back();
        }
    }
}

/// Rounds up so that slightly different sizes share buffers: to 256 B, then to an eighth of the
/// power of two below.
pub(super) fn size_class(bytes: u64) -> u64 {
    let bytes = bytes.max(256);
    let step = (1u64 << (63 - bytes.leading_zeros())) / 8;
    bytes.next_multiple_of(step.max(256))
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn classes_cover_and_waste_at_most_an_eighth() {
        for bytes in [0, 1, 255, 256, 257, 1000, 4097, 1 << 20, (1 << 20) + 1, 3_000_000_001] {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(4));
            assert!(class <= (bytes + bytes / 8).max(bytes + 256).max(256), "{bytes} -> {class}");
        }
    }
}
