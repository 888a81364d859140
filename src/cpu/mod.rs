//! The CPU twin of every kernel: fallback where there is no adapter, and the mirror that the GPU is
//! tested against. A twin takes the same params and the same buffers, in the same binding order, as
//! its shader; how it walks the grid is its own affair. No wgpu here.

mod call;
mod dense;
mod math;
mod parallel;

pub(crate) use call::Call;

use crate::device::recording::{Command, Dispatch, Recording};
use crate::device::shader::Kernel;
use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// A buffer of the CPU context: 32-bit words, shared like a GPU buffer.
pub(crate) type HostBuffer = Arc<Mutex<Vec<u32>>>;

/// Runs a plan on the twins. `bound` are the caller's buffers, in the order of their declaration.
pub(crate) fn run(recording: &Recording, bound: &[HostBuffer]) -> Result<()> {
    let mut buffers: Vec<Vec<u32>> = Vec::with_capacity(recording.buffers.len());
    for info in &recording.buffers {
        buffers.push(match info.role {
            crate::device::recording::Role::Bound(place) => {
                std::mem::take(&mut *bound[place].lock().unwrap_or_else(PoisonError::into_inner))
            }
            crate::device::recording::Role::Workspace => allocate(info.bytes)?,
        });
    }
    for command in &recording.commands {
        match command {
            Command::Clear(id) => buffers[id.0].fill(0),
            Command::Dispatch(dispatch) => launch(recording, dispatch, &mut buffers),
        }
    }
    for (info, words) in recording.buffers.iter().zip(buffers) {
        if let crate::device::recording::Role::Bound(place) = info.role {
            *bound[place].lock().unwrap_or_else(PoisonError::into_inner) = words;
        }
    }
    Ok(())
}

/// Zeroed words, or an error where the host has no memory.
pub(crate) fn allocate(bytes: u64) -> Result<Vec<u32>> {
    let words = usize::try_from(bytes.div_ceil(4)).map_err(|_| Error::OutOfMemory { bytes })?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(words).map_err(|_| Error::OutOfMemory { bytes })?;
    buffer.resize(words, 0);
    Ok(buffer)
}

fn launch(recording: &Recording, dispatch: &Dispatch, buffers: &mut [Vec<u32>]) {
    let mut call = Call::new(recording, dispatch, buffers);
    match dispatch.shader.kernel {
        Kernel::DenseLinear => dense::linear(&mut call),
    }
}
