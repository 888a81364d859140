//! Lints: what WebGPU's default limits and Tint's uniformity analysis demand of every variant, told
//! with the way out. naga accepts all of these.

use super::compose::{Composed, Fault};
use super::reflect::Reflection;
use super::variants::Variant;
use naga::{Block, Statement};

/// WebGPU's default `maxComputeInvocationsPerWorkgroup`.
const MAX_INVOCATIONS: u32 = 256;
/// WebGPU's default `maxComputeWorkgroupStorageSize`.
const MAX_WORKGROUP_BYTES: u32 = 16_384;
/// What a variant that is native only may take: plans look at the device's own limit.
const MAX_NATIVE_WORKGROUP_BYTES: u32 = 49_152;
/// WebGPU grants 8; wgpu takes one for itself on Metal (buffer sizes), where kernels that are for native only do not run either.
const MAX_STORAGE_BINDINGS: usize = 7;
const MAX_NATIVE_BINDINGS: usize = 8;

/// Every violation of one variant.
pub fn lint(variant: &Variant, composed: &Composed, reflection: &Reflection) -> Vec<Fault> {
    let fault = |byte: usize, message: String| Fault { origin: composed.origin_of(byte), variant: variant.name.clone(), message };
    let mut faults = Vec::new();
    let invocations: u32 = reflection.workgroup_size.iter().product();
    if invocations > MAX_INVOCATIONS {
        faults.push(fault(
            0,
            format!("{invocations} invocations a workgroup, WebGPU grants {MAX_INVOCATIONS}: lower the default workgroup size"),
        ));
    }
    let (granted, by) =
        if variant.is_native_only() { (MAX_NATIVE_WORKGROUP_BYTES, "GPUs grant") } else { (MAX_WORKGROUP_BYTES, "WebGPU grants") };
    if reflection.workgroup_bytes > granted {
        faults.push(fault(0, format!("{} B of workgroup memory, {by} {granted}: shrink the tile", reflection.workgroup_bytes)));
    }
    let most = if variant.is_native_only() { MAX_NATIVE_BINDINGS } else { MAX_STORAGE_BINDINGS };
    if reflection.writable.len() > most {
        faults.push(fault(0, format!("{} storage bindings, {most} are portable: join buffers", reflection.writable.len())));
    }
    let functions = reflection.module.entry_points.iter().map(|e| &e.function).chain(reflection.module.functions.iter().map(|(_, f)| f));
    for function in functions {
        let mut walk = ReturnWalk::default();
        walk.block(&function.body, 0);
        if let Some(byte) = walk.early_return.filter(|_| walk.barrier_after) {
            faults.push(fault(
                byte,
                "return before a barrier: Tint rejects it as non-uniform; predicate loads and stores instead".to_owned(),
            ));
        }
    }
    faults
}

/// Finds a `return` that some later barrier or subgroup operation waits behind.
#[derive(Default)]
struct ReturnWalk {
    early_return: Option<usize>,
    barrier_after: bool,
}

impl ReturnWalk {
    fn block(&mut self, block: &Block, depth: usize) {
        for (statement, span) in block.span_iter() {
            match statement {
                Statement::Return { .. } if depth > 0 => {
                    self.early_return.get_or_insert(span.to_range().map_or(0, |r| r.start));
                }
                Statement::ControlBarrier(_)
                | Statement::MemoryBarrier(_)
                | Statement::WorkGroupUniformLoad { .. }
                | Statement::SubgroupCollectiveOperation { .. }
                | Statement::SubgroupGather { .. }
                | Statement::SubgroupBallot { .. } => self.barrier_after |= self.early_return.is_some(),
                Statement::Block(inner) => self.block(inner, depth),
                Statement::If { accept, reject, .. } => {
                    self.block(accept, depth + 1);
                    self.block(reject, depth + 1);
                }
                Statement::Switch { cases, .. } => cases.iter().for_each(|case| self.block(&case.body, depth + 1)),
                Statement::Loop { body, continuing, .. } => {
                    self.block(body, depth + 1);
                    self.block(continuing, depth + 1);
                }
                _ => {}
            }
        }
    }
}
