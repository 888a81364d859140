//! The CPU twin of every kernel: fallback where there is no adapter, and the mirror that the GPU is
//! tested against. A twin takes the same params and the same buffers, in the same binding order, as
//! its shader; how it walks the grid is its own affair. No wgpu here.

#[cfg(not(target_family = "wasm"))]
mod additive;
mod arcs;
mod audio;
mod call;
mod cells;
mod conv;
mod convert;
mod ctc;
mod dense;
mod gemm;
mod gradients;
#[cfg(not(target_family = "wasm"))]
mod joint;
mod lattice;
mod math;
mod parallel;
mod scaled;
mod scores;
#[cfg(not(target_family = "wasm"))]
mod smoothing;
mod status;
mod transpose;

pub(crate) use call::Call;
pub(crate) use parallel::map_all;
pub(crate) use scaled::LOG2_NEVER;

use crate::device::recording::{Binding, Command, Dispatch, Recording, Role};
use crate::device::shader::Kernel;
use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// A buffer of the CPU context: 32-bit words, shared like a GPU buffer.
pub(crate) type HostBuffer = Arc<Mutex<Vec<u32>>>;

/// Runs a plan on the twins. `bound` are the caller's buffers, in the order of their declaration.
pub(crate) fn run(recording: &Recording, bound: &[HostBuffer]) -> Result<()> {
    // Locked once each and in the order of their addresses: a tensor may be bound twice, and two
    // threads may share tensors.
    let address = |buffer: &HostBuffer| Arc::as_ptr(buffer) as usize;
    let mut unique: Vec<&HostBuffer> = Vec::with_capacity(bound.len());
    for buffer in bound {
        if let Err(place) = unique.binary_search_by_key(&address(buffer), |known| address(known)) {
            unique.insert(place, buffer);
        }
    }
    let mut guards: Vec<_> = unique.iter().map(|buffer| buffer.lock().unwrap_or_else(PoisonError::into_inner)).collect();

    let mut workspace = Vec::new();
    let mut slots = Vec::with_capacity(recording.buffers.len());
    for info in &recording.buffers {
        slots.push(match info.role {
            Role::Bound(place) => unique.iter().position(|buffer| Arc::ptr_eq(buffer, &bound[place])).unwrap_or_default(),
            Role::Workspace => {
                workspace.push(allocate(info.bytes)?);
                unique.len() + workspace.len() - 1
            }
        });
    }
    let mut buffers: Vec<&mut Vec<u32>> = guards.iter_mut().map(|guard| &mut **guard).chain(&mut workspace).collect();
    for command in &recording.commands {
        match command {
            Command::Clear(id) => buffers[slots[id.0]].fill(0),
            Command::Copy(from, to) => {
                let words = |window: &Binding| (window.offset / 4) as usize..((window.offset + window.bytes) / 4) as usize;
                let copied = buffers[slots[from.buffer.0]][words(from)].to_vec();
                buffers[slots[to.buffer.0]][words(to)].copy_from_slice(&copied);
            }
            Command::Cut => {}
            Command::Dispatch(dispatch) => launch(recording, dispatch, &mut buffers, &slots),
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

fn launch(recording: &Recording, dispatch: &Dispatch, buffers: &mut [&mut Vec<u32>], slots: &[usize]) {
    let mut call = Call::new(recording, dispatch, buffers, slots);
    match dispatch.shader.kernel {
        Kernel::AudioFrame => audio::frame(&mut call),
        Kernel::AudioMagnitude => audio::magnitude(&mut call),
        Kernel::CellAffine => cells::affine(&mut call),
        Kernel::CellBatchNorm => cells::batch_norm(&mut call),
        Kernel::CellBatchNormGradient => cells::batch_norm_gradient(&mut call),
        Kernel::CellCopyStates => cells::copy_states(&mut call),
        Kernel::CellEmpty => cells::empty(&mut call),
        Kernel::CellFirst => cells::first(&mut call),
        Kernel::CellFirstGradient => cells::first_gradient(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::CellLocal | Kernel::CellLocalNormed => cells::local(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::CellLocalGradient | Kernel::CellLocalNormedGradient => cells::local_gradient(&mut call),
        Kernel::CellMerge => cells::merge(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::CellPersistent => cells::steps(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::CellPersistentMatrices => cells::steps_in_halves(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::CellPersistentGradient => cells::steps_gradient(&mut call),
        Kernel::CellSplit => cells::split(&mut call),
        Kernel::CellMid => cells::mid(&mut call),
        Kernel::CellMidGradient => cells::mid_gradient(&mut call),
        Kernel::CellMidStep => cells::mid_step(&mut call),
        Kernel::CellMids => cells::mids(&mut call),
        Kernel::CellMoments => cells::moments(&mut call),
        Kernel::CellNormalise => cells::normalise(&mut call),
        Kernel::CellNormaliseGradient => cells::normalise_gradient(&mut call),
        Kernel::CellNormedStep => cells::normed_step(&mut call),
        Kernel::CellPackRows => cells::pack_rows(&mut call),
        Kernel::CellProduct => cells::product(&mut call),
        Kernel::CellRow => cells::row(&mut call),
        Kernel::CellRowGradient => cells::row_gradient(&mut call),
        Kernel::CellScan => cells::steps(&mut call),
        Kernel::CellScanGradient => cells::scan_gradient(&mut call),
        Kernel::CellSecondGradient => cells::second_gradient(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::CellStateSums => cells::state_sums(&mut call),
        Kernel::CellStep => cells::step(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::CellStepSingle => cells::step(&mut call),
        Kernel::CellStepGradient => cells::step_gradient(&mut call),
        Kernel::CellValidFrames => cells::valid_frames(&mut call),
        Kernel::CellWeight => cells::weight(&mut call),
        Kernel::CellWeightGradient => cells::weight_gradient(&mut call),
        Kernel::DenseColumnSums => gemm::column_sums(&mut call),
        Kernel::DenseConv1d => conv::conv1d(&mut call),
        Kernel::DenseGemm | Kernel::DenseGemmThin => gemm::product(&mut call, true),
        #[cfg(not(target_family = "wasm"))]
        Kernel::DenseGemmSplit => gemm::product(&mut call, false),
        #[cfg(not(target_family = "wasm"))]
        Kernel::DenseLineMost => gemm::line_most(&mut call),
        Kernel::DenseNarrow => convert::narrow(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::DenseNarrowColumns => convert::narrow_columns(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::DenseNarrowLines => convert::narrow_lines(&mut call),
        Kernel::DenseSumParts => gemm::sum_parts(&mut call),
        Kernel::DenseTranspose => transpose::transpose(&mut call),
        Kernel::DenseWiden => convert::widen(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointAdditiveGradient => additive::gradient(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointAdditiveRow => additive::row(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointHidden => joint::hidden(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointInputGradient => joint::input_gradient(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointScale => joint::scale(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointSmoothCells => smoothing::cells(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointSmoothPositions => smoothing::positions(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointSmoothPrior => smoothing::prior(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointSmoothPriorGradient => smoothing::prior_gradient(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointSmoothRow => smoothing::row(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointSmoothSums => smoothing::sums(&mut call),
        #[cfg(not(target_family = "wasm"))]
        Kernel::JointValidRows => joint::valid_rows(&mut call),
        Kernel::LatticeArcsGradient => arcs::gradient(&mut call),
        Kernel::LatticeArcsLatency => arcs::latency(&mut call),
        Kernel::LatticeArcsRow => arcs::row(&mut call),
        Kernel::LatticeArcsShort => arcs::short(&mut call),
        Kernel::LatticeArcsSweep => arcs::sweep(&mut call),
        Kernel::LatticeArcsThen => arcs::then(&mut call),
        Kernel::LatticeCtcFloats => ctc::floats(&mut call),
        Kernel::LatticeCtcGradient => ctc::gradient(&mut call),
        Kernel::LatticeCtcRow => ctc::row(&mut call),
        Kernel::LatticeCtcSweep => ctc::sweep(&mut call),
        Kernel::LatticeCtcTrace => ctc::trace(&mut call),
        Kernel::LatticeGradient => lattice::gradient(&mut call),
        Kernel::LatticeRow => lattice::row(&mut call),
        Kernel::LatticeSweep => lattice::sweep(&mut call),
        // Launches run one after the other here: there is nobody to wait for.
        #[cfg(not(target_family = "wasm"))]
        Kernel::ProbeTogether => {}
    }
}
