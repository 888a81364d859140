//! One launch, as a twin sees it.

use crate::device::program::Program;
use crate::device::recording::{Dispatch, PipelineKey, Recording};
use bytemuck::AnyBitPattern;

/// The params and buffers of one launch, numbered as in the shader.
pub(crate) struct Call<'a> {
    dispatch: &'a Dispatch,
    pipeline: Option<&'a PipelineKey>,
    params: &'a [u8],
    read: Vec<Option<&'a [u32]>>,
    write: Vec<Option<&'a mut [u32]>>,
}

impl<'a> Call<'a> {
    /// Lends every buffer of a dispatch: the written ones exclusively, the others shared, as WebGPU's
    /// usage rules demand of a dispatch. `slots` says which of `buffers` each buffer of the recording is.
    pub(super) fn new(recording: &'a Recording, dispatch: &'a Dispatch, buffers: &'a mut [&mut Vec<u32>], slots: &[usize]) -> Self {
        let bindings = &recording.sets[dispatch.set.0];
        let writable = dispatch.shader.writable;
        let mut lent: Vec<Lent<'a>> = buffers.iter_mut().map(|b| Lent::Idle(b)).collect();
        let mut read = vec![None];
        let mut write: Vec<Option<&'a mut [u32]>> = vec![None];
        for (binding, &writable) in bindings.iter().zip(writable) {
            let first = (binding.offset / 4) as usize;
            let last = first + (binding.bytes / 4) as usize;
            let slot = &mut lent[slots[binding.buffer.0]];
            if writable {
                write.push(slot.exclusive().map(|words| &mut words[first..last]));
                read.push(None);
            } else {
                read.push(slot.shared().map(|words| &words[first..last]));
                write.push(None);
            }
        }
        let params = &recording.uniforms[dispatch.params as usize..][..dispatch.shader.params_bytes as usize];
        let pipeline = recording.pipelines.get(dispatch.pipeline);
        Self { dispatch, pipeline, params, read, write }
    }

    /// The uniform block.
    pub(crate) fn params<P: AnyBitPattern>(&self) -> P {
        bytemuck::pod_read_unaligned(self.params)
    }

    /// A pipeline constant that the plan set; 0 if it did not.
    pub(crate) fn constant(&self, name: &str) -> f64 {
        let constants = self.pipeline.map_or(&[][..], |key| &key.constants);
        constants.iter().find(|(known, _)| *known == name).map_or(0.0, |&(_, bits)| f64::from_bits(bits))
    }

    /// What fills the kernel's slot.
    pub(crate) fn program(&self) -> Option<&'a Program> {
        self.pipeline.and_then(|key| key.program.as_deref())
    }

    /// Whether the variant of the kernel has a flag.
    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.dispatch.shader.flags.contains(&flag)
    }

    /// The grid.
    pub(crate) fn groups(&self) -> [u32; 3] {
        self.dispatch.workgroups
    }

    /// The buffer at a read binding.
    pub(crate) fn read<T: AnyBitPattern>(&self, binding: usize) -> &'a [T] {
        self.read[binding].map_or(&[], bytemuck::cast_slice)
    }

    /// The buffer at a read_write binding; each can be taken once.
    pub(crate) fn write<T: bytemuck::Pod>(&mut self, binding: usize) -> &'a mut [T] {
        self.write[binding].take().map_or(&mut [], bytemuck::cast_slice_mut)
    }
}

/// How a buffer is lent within one launch.
enum Lent<'a> {
    Idle(&'a mut Vec<u32>),
    Shared(&'a [u32]),
    Taken,
}

impl<'a> Lent<'a> {
    fn shared(&mut self) -> Option<&'a [u32]> {
        match std::mem::replace(self, Lent::Taken) {
            Lent::Idle(words) => {
                let words: &'a [u32] = words;
                *self = Lent::Shared(words);
                Some(words)
            }
            Lent::Shared(words) => {
                *self = Lent::Shared(words);
                Some(words)
            }
            Lent::Taken => None,
        }
    }

    fn exclusive(&mut self) -> Option<&'a mut [u32]> {
        match std::mem::replace(self, Lent::Taken) {
            Lent::Idle(words) => Some(words),
            Lent::Shared(words) => {
                *self = Lent::Shared(words);
                None
            }
            Lent::Taken => None,
        }
    }
}
