//! The table that people read and the JSON that is kept in docs/bench/.

use serde_json::{Value, json};
use weft::Caps;

/// One measurement.
pub struct Row {
    pub op: &'static str,
    pub input: &'static str,
    pub shape: Value,
    pub variant: &'static str,
    pub direction: &'static str,
    /// Best and median GPU time of one call, ms.
    pub gpu_ms: f64,
    pub gpu_median_ms: f64,
    /// Median wall time of one call with the costs (or nothing) read back, ms.
    pub wall_ms: f64,
    /// Least bytes that the call must move.
    pub bytes: f64,
    /// The floor, ms: bytes over the copy bandwidth plus what the launches cost.
    pub floor_ms: f64,
}

/// Prints a table in Markdown. On a software adapter it says what the figures are not.
pub fn print(caps: &Caps, rows: &[Row]) {
    if caps.is_software() {
        println!("\n{} is a software adapter: the figures below are a smoke test, NOT PERFORMANCE.\n", caps.adapter);
    }
    println!("| op | shape | variant | direction | GPU ms | median | wall ms | MB | floor ms | floor / GPU |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for r in rows {
        let shape: Vec<String> = r.shape.as_object().into_iter().flatten().map(|(k, v)| format!("{k}={v}")).collect();
        println!(
            "| {} | {} | {} | {} | {:.4} | {:.4} | {:.3} | {:.1} | {:.4} | {:.0} % |",
            r.op,
            shape.join(" "),
            r.variant,
            r.direction,
            r.gpu_ms,
            r.gpu_median_ms,
            r.wall_ms,
            r.bytes / 1e6,
            r.floor_ms,
            100.0 * r.floor_ms / r.gpu_ms,
        );
    }
}

/// The file that docs/bench/ keeps.
pub fn to_json(caps: &Caps, date: &str, commit: &str, limits: &super::probe::Limits, rows: &[Row]) -> Value {
    json!({
        "adapter": caps.adapter,
        "driver": caps.driver,
        "backend": caps.backend,
        "subgroup": caps.subgroups.unwrap_or([0, 0]),
        "date": date,
        "commit": commit,
        "performance": !caps.is_software(),
        "copy_gb_per_s": limits.bytes_per_second / 1e9,
        "dispatch_us": limits.dispatch.as_secs_f64() * 1e6,
        "rows": rows.iter().map(|r| json!({
            "op": r.op,
            "input": r.input,
            "shape": r.shape,
            "dtype": "f32",
            "variant": r.variant,
            "direction": r.direction,
            "gpu_ms": r.gpu_ms,
            "gpu_median_ms": r.gpu_median_ms,
            "wall_ms": r.wall_ms,
            "bytes": r.bytes,
            "floor_ms": r.floor_ms,
        })).collect::<Vec<_>>(),
    })
}
