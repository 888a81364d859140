//! Which kernels the time on the GPU goes to.

use super::recording::Dispatch;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the launches of one kernel with one grid took together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTime {
    /// Kernel and variant: `lattice_row_subgroups`.
    pub kernel: &'static str,
    /// Grid of each launch.
    pub workgroups: [u32; 3],
    /// Launches.
    pub launches: u32,
    /// Time on the GPU, of all of them.
    pub time: Duration,
}

/// A kernel and its grid.
type Launch = (&'static str, [u32; 3]);

/// Adds up times by kernel and grid: launches and their sum.
#[derive(Default)]
pub(super) struct KernelTimes(Mutex<BTreeMap<Launch, (u32, Duration)>>);

impl KernelTimes {
    pub(super) fn add(&self, dispatch: &Dispatch, time: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (launches, sum) = times.entry((dispatch.shader.name, dispatch.workgroups)).or_default();
        *launches += 1;
        *sum += time;
    }

    /// What was added since the last time, longest first.
    pub(super) fn take(&self) -> Vec<KernelTime> {
        let times = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let time = |((kernel, workgroups), (launches, time))| KernelTime { kernel, workgroups, launches, time };
        let mut all: Vec<KernelTime> = times.into_iter().map(time).collect();
        all.sort_by_key(|kernel| std::cmp::Reverse(kernel.time));
        all
    }
}
