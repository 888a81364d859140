//! The table that people read and the JSON that is kept in docs/bench/.

use super::case::Labels;
use super::first_use::FirstUse;
use super::probe::Limits;
use serde_json::{Map, Value, json};
use weft::Caps;

/// What one case gave.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Best and median GPU time of one call, ms.
    pub gpu_ms: f64,
    pub gpu_median_ms: f64,
    /// Median wall time of one call with the costs (or nothing) read back, ms.
    pub wall_ms: f64,
    /// Kernel launches of one call.
    pub dispatches: u32,
    /// Least bytes that the call must move.
    pub bytes: f64,
    /// Multiplications and additions of a product of matrices.
    pub flops: Option<f64>,
    /// Cells of its lattices, without the padding.
    pub cells: Option<u64>,
    /// Bytes that it holds beyond its input and its results.
    pub workspace_bytes: Option<u64>,
    /// Bytes of its results on the device.
    pub result_bytes: u64,
    /// Both together, where the first is known; and what the same call would take with all logits of a joiner at once.
    pub peak_bytes: Option<u64>,
    pub materialised_bytes: Option<u64>,
    /// The floor, ms: bytes over the copy bandwidth, or arithmetic, plus what launches and waits cost.
    pub floor_ms: f64,
    /// Median time on the CPU of writing the commands down and giving them to the queue, and of making the plans, ms.
    pub encode_ms: f64,
    pub plan_ms: Option<f64>,
    /// Of recurrent layers: frames of all sequences, steps that workgroups wait for each other in, and what takes the steps.
    pub frames: Option<u64>,
    pub waits: Option<u64>,
    pub tiers: Option<String>,
    /// Pipelines that the case was the first to need, and how long they took.
    pub compiled: u32,
    pub compile_ms: f64,
    /// One dependent step after the measurement over one at the start: the clocks' fall.
    pub slower: f64,
}

/// One measurement, or why there is none.
pub struct Row {
    pub labels: Labels,
    pub shape: Vec<(&'static str, usize)>,
    pub variant: &'static str,
    pub outcome: Result<Figures, String>,
}

/// Everything that one run of the program found.
pub struct Run {
    pub caps: Caps,
    pub limits: Limits,
    pub rows: Vec<Row>,
    pub first_use: Vec<FirstUse>,
}

impl Run {
    pub fn new(caps: Caps, limits: Limits) -> Self {
        Self { caps, limits, rows: Vec::new(), first_use: Vec::new() }
    }

    /// Prints a table in Markdown. On a software adapter it says what the figures are not.
    pub fn print(&self) {
        println!("{}\n", self.caps);
        let limits = &self.limits;
        println!(
            "copy kernel {:.0} GB/s; {:.1} TFLOP/s of f32; one more dispatch {:.2} µs; one more step of workgroups that wait {}",
            limits.bytes_per_second / 1e9,
            limits.flops_per_second / 1e12,
            limits.dispatch.as_secs_f64() * 1e6,
            limits.wait.map_or("not measured".to_owned(), |wait| format!("{:.2} µs", wait.as_secs_f64() * 1e6))
        );
        if self.caps.is_software() {
            println!("\n{} is a software adapter: the figures below are a smoke test, NOT PERFORMANCE.", self.caps.adapter);
        }
        println!(
            "\n| op | shape | variant | direction | GPU ms | median | wall ms | MB | floor ms | floor / GPU | TFLOP/s | plan + encode ms | tier | peak MB | all logits / peak |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
        for row in &self.rows {
            let l = &row.labels;
            let op = [l.op, l.input, l.dtype, l.layout, l.lengths, l.data].join(" ");
            let shape: Vec<String> = row.shape.iter().map(|(side, size)| format!("{}{size}", side.to_uppercase())).collect();
            print!("| {op} | {} | {} | {} | ", shape.join(" "), row.variant, l.direction);
            match &row.outcome {
                Ok(f) => println!(
                    "{:.4} | {:.4} | {:.3} | {:.1} | {:.4} | {:.0} % | {} | {:.3} | {} | {} | {} |",
                    f.gpu_ms,
                    f.gpu_median_ms,
                    f.wall_ms,
                    f.bytes / 1e6,
                    f.floor_ms,
                    100.0 * f.floor_ms / f.gpu_ms,
                    f.flops.map_or(String::new(), |flops| format!("{:.2}", flops / f.gpu_ms / 1e9)),
                    f.plan_ms.unwrap_or_default() + f.encode_ms,
                    f.tiers.as_deref().unwrap_or_default(),
                    f.peak_bytes.map_or(String::new(), |bytes| format!("{:.1}", bytes as f64 / 1e6)),
                    f.materialised_bytes.zip(f.peak_bytes).map_or(String::new(), |(all, peak)| format!("{:.1}", all as f64 / peak as f64))
                ),
                Err(reason) => println!("{reason} | | | | | | | | | | |"),
            }
        }
        println!();
        self.first_use.iter().for_each(|first| println!("{}", first.line()));
    }

    /// The file that docs/bench/ keeps.
    pub fn to_json(&self, date: &str, commit: &str, parts: &[&str]) -> Value {
        json!({
            "kind": "weft",
            "adapter": self.caps.adapter,
            "driver": self.caps.driver,
            "backend": self.caps.backend,
            "subgroup": self.caps.subgroups,
            "date": date,
            "commit": commit,
            "performance": !self.caps.is_software(),
            "copy_gb_per_s": self.limits.bytes_per_second / 1e9,
            "dispatch_us": self.limits.dispatch.as_secs_f64() * 1e6,
            "f32_tflop_per_s": self.limits.flops_per_second / 1e12,
            "wait_us": self.limits.wait.map(|wait| wait.as_secs_f64() * 1e6),
            "parts": parts,
            "rows": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
            "first_use": self.first_use.iter().map(FirstUse::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Row {
    fn to_json(&self) -> Value {
        let l = &self.labels;
        let shape: Map<String, Value> = self.shape.iter().map(|&(side, size)| (side.to_owned(), size.into())).collect();
        let mut row = json!({
            "op": l.op,
            "input": l.input,
            "dtype": l.dtype,
            "layout": l.layout,
            "lengths": l.lengths,
            "data": l.data,
            "shape": shape,
            "variant": self.variant,
            "direction": l.direction,
        });
        let figures = match &self.outcome {
            Err(reason) => json!({ "error": reason }),
            Ok(f) => json!({
                "gpu_ms": f.gpu_ms,
                "gpu_median_ms": f.gpu_median_ms,
                "wall_ms": f.wall_ms,
                "dispatches": f.dispatches,
                "bytes": f.bytes,
                "flops": f.flops,
                "cells": f.cells,
                "workspace_bytes": f.workspace_bytes,
                "result_bytes": f.result_bytes,
                "peak_bytes": f.peak_bytes,
                "materialised_bytes": f.materialised_bytes,
                "floor_ms": f.floor_ms,
                "compiled": f.compiled,
                "compile_ms": f.compile_ms,
                "slower": f.slower,
                "encode_ms": f.encode_ms,
                "plan_ms": f.plan_ms,
                "frames": f.frames,
                "waits": f.waits,
                "tiers": f.tiers,
            }),
        };
        if let (Value::Object(row), Value::Object(mut figures)) = (&mut row, figures) {
            row.append(&mut figures);
        }
        row
    }
}
