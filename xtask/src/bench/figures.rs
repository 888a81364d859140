//! The figures that `docs/bench/` keeps: runs of the benchmark program, and of the scripts that time peers.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::files;

/// Everything that was read.
#[derive(Default)]
pub struct Kept {
    pub runs: Vec<Run>,
    peers: Vec<Peers>,
}

/// One run of the benchmark program on one adapter.
pub struct Run {
    pub file: String,
    pub adapter: String,
    pub driver: String,
    pub backend: String,
    pub subgroup: String,
    pub date: String,
    pub commit: String,
    pub performance: bool,
    pub copy_gb_per_s: f64,
    pub dispatch_us: f64,
    /// Arithmetic of f32, and one more step of workgroups that wait for each other: older files have neither.
    pub tflop_per_s: Option<f64>,
    pub wait_us: Option<f64>,
    pub rows: Vec<Row>,
    pub first_use: Vec<FirstUse>,
}

/// One case in one variant.
pub struct Row {
    pub family: Family,
    pub shape: Shape,
    pub direction: String,
    pub variant: String,
    pub outcome: std::result::Result<Figures, String>,
}

pub struct Figures {
    /// Median GPU time, ms, and the best.
    pub gpu_ms: f64,
    pub best_ms: f64,
    pub wall_ms: f64,
    pub floor_ms: f64,
    pub bytes: f64,
    /// Cells of the lattices without the padding; cells of a recurrent layer are no such thing.
    pub cells: Option<f64>,
    /// What the plan needs beyond input and results; not every op's plan tells.
    pub workspace_bytes: Option<f64>,
    /// With results; and what a joiner would take with all logits at once, likewise.
    pub peak_bytes: Option<f64>,
    pub materialised_bytes: Option<f64>,
    /// Of recurrent layers.
    pub steps: Option<Steps>,
}

/// What takes the steps of recurrent layers, frames of all sequences, and what the CPU took for plans and commands, ms.
pub struct Steps {
    pub tiers: String,
    pub frames: f64,
    pub recording_ms: f64,
}

pub struct FirstUse {
    pub name: String,
    pub variant: String,
    pub pipelines: u64,
    pub compile_ms: f64,
    pub wall_ms: f64,
    pub second_wall_ms: f64,
}

/// One run of a script that times peers.
pub struct Peers {
    pub file: String,
    pub adapter: String,
    pub driver: String,
    pub date: String,
    /// Names and versions of what was installed.
    pub packages: Vec<(String, String)>,
    pub rows: Vec<PeerRow>,
}

pub struct PeerRow {
    pub family: Family,
    pub shape: Shape,
    pub direction: String,
    pub peer: String,
    pub outcome: std::result::Result<f64, String>,
}

/// What rows of one table have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Family {
    pub op: String,
    pub input: String,
    pub dtype: String,
    pub layout: String,
    pub lengths: String,
    pub data: String,
}

/// Sides of a case, in the order in which they are shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape(Vec<(char, u64)>);

impl Kept {
    /// Every JSON file of a folder.
    pub fn of_folder(dir: &Path) -> Result<Self> {
        let mut paths = files::with_extension(dir, "json")?;
        paths.sort();
        Self::of_files(paths)
    }

    pub fn of_files(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let mut kept = Self::default();
        for path in paths {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let fields = Fields::parse(&name, &files::read(&path)?)?;
            match fields.text("kind")?.as_str() {
                "weft" => kept.runs.push(Run::read(&fields)?),
                "peers" => kept.peers.push(Peers::read(&fields)?),
                other => return Err(fields.failure(&format!("`kind` is `{other}`, neither `weft` nor `peers`"))),
            }
        }
        Ok(kept)
    }

    /// The peers that were timed on the adapter of a run.
    pub fn peers_of(&self, run: &Run) -> impl Iterator<Item = &Peers> {
        self.peers.iter().filter(move |peers| peers.adapter == run.adapter)
    }
}

impl Run {
    fn read(fields: &Fields) -> Result<Self> {
        let subgroup = match fields.0.get("subgroup").and_then(Value::as_array).map(Vec::as_slice) {
            Some([min, max]) if min == max => min.to_string(),
            Some([min, max]) => format!("{min} to {max}"),
            _ => "not used".to_owned(),
        };
        Ok(Self {
            file: fields.1.to_owned(),
            adapter: fields.text("adapter")?,
            driver: fields.text("driver")?,
            backend: fields.text("backend")?,
            subgroup,
            date: fields.text("date")?,
            commit: fields.text("commit")?,
            performance: fields.0.get("performance") == Some(&Value::Bool(true)),
            copy_gb_per_s: fields.number("copy_gb_per_s")?,
            dispatch_us: fields.number("dispatch_us")?,
            tflop_per_s: fields.optional_number("f32_tflop_per_s"),
            wait_us: fields.optional_number("wait_us"),
            rows: fields.list("rows")?.map(|row| Row::read(&row)).collect::<Result<_>>()?,
            first_use: fields.list("first_use")?.map(|row| FirstUse::read(&row)).collect::<Result<_>>()?,
        })
    }
}

impl Row {
    fn read(fields: &Fields) -> Result<Self> {
        let outcome = match fields.optional_text("error") {
            Some(reason) => Err(reason),
            None => Ok(Figures {
                gpu_ms: fields.number("gpu_median_ms")?,
                best_ms: fields.number("gpu_ms")?,
                wall_ms: fields.number("wall_ms")?,
                floor_ms: fields.number("floor_ms")?,
                bytes: fields.number("bytes")?,
                cells: fields.optional_number("cells"),
                workspace_bytes: fields.optional_number("workspace_bytes"),
                peak_bytes: fields.optional_number("peak_bytes"),
                materialised_bytes: fields.optional_number("materialised_bytes"),
                steps: fields.optional_text("tiers").map(|tiers| Steps {
                    tiers,
                    frames: fields.optional_number("frames").unwrap_or_default(),
                    recording_ms: fields.optional_number("plan_ms").unwrap_or_default()
                        + fields.optional_number("encode_ms").unwrap_or_default(),
                }),
            }),
        };
        Ok(Self {
            family: Family::read(fields)?,
            shape: Shape::read(fields)?,
            direction: fields.text("direction")?,
            variant: fields.text("variant")?,
            outcome,
        })
    }
}

impl FirstUse {
    fn read(fields: &Fields) -> Result<Self> {
        Ok(Self {
            name: fields.text("name")?,
            variant: fields.text("variant")?,
            pipelines: fields.number("pipelines")? as u64,
            compile_ms: fields.number("compile_ms")?,
            wall_ms: fields.number("wall_ms")?,
            second_wall_ms: fields.number("second_wall_ms")?,
        })
    }
}

impl Peers {
    fn read(fields: &Fields) -> Result<Self> {
        let packages = fields.0.get("packages").and_then(Value::as_object).into_iter().flatten();
        Ok(Self {
            file: fields.1.to_owned(),
            adapter: fields.text("adapter")?,
            driver: fields.optional_text("driver").unwrap_or_default(),
            date: fields.text("date")?,
            packages: packages.filter_map(|(name, version)| Some((name.clone(), version.as_str()?.to_owned()))).collect(),
            rows: fields.list("rows")?.map(|row| PeerRow::read(&row)).collect::<Result<_>>()?,
        })
    }
}

impl PeerRow {
    fn read(fields: &Fields) -> Result<Self> {
        let outcome = match fields.optional_text("error") {
            Some(reason) => Err(reason),
            None => Ok(fields.number("ms")?),
        };
        // Scripts time padded batches of whole utterances on noise.
        let family = Family {
            op: fields.text("op")?,
            input: fields.text("input")?,
            dtype: fields.text("dtype")?,
            layout: "padded".into(),
            lengths: "full".into(),
            data: "flat".into(),
        };
        Ok(Self { family, shape: Shape::read(fields)?, direction: fields.text("direction")?, peer: fields.text("peer")?, outcome })
    }
}

impl Family {
    fn read(fields: &Fields) -> Result<Self> {
        Ok(Self {
            op: fields.text("op")?,
            input: fields.text("input")?,
            dtype: fields.text("dtype")?,
            layout: fields.text("layout")?,
            lengths: fields.text("lengths")?,
            data: fields.text("data")?,
        })
    }

    /// The family that others are compared with.
    pub fn base() -> Self {
        let [op, input, dtype, layout, lengths, data] = ["rnnt", "logits", "f32", "padded", "full", "flat"].map(str::to_owned);
        Self { op, input, dtype, layout, lengths, data }
    }

    /// A word for file names.
    pub fn slug(&self) -> String {
        let mut words = vec![self.op.as_str(), &self.input, &self.dtype];
        words.extend(self.special());
        words.join("-")
    }

    /// The words that say what is not ordinary.
    fn special(&self) -> impl Iterator<Item = &str> {
        let ordinary = [(&self.layout, "padded"), (&self.lengths, "full"), (&self.data, "flat")];
        ordinary.into_iter().filter(|(word, usual)| word != usual).map(|(word, _)| word.as_str())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op.as_str() {
            "rnnt" => "RNN-T",
            "tdt" => "TDT",
            "hat" => "HAT",
            "ctc" => "CTC",
            "lstm" => "LSTM",
            "lstm-stream" => "LSTM, a stream",
            "lstm-stepped" => "LSTM, stepped tier",
            "lstm-local" => "LSTM, local tier",
            "lstm-persistent" => "LSTM, persistent tier",
            "gru" => "GRU",
            "li-gru" => "LiGRU",
            "li-gru-stack" => "LiGRU, a stack",
            "sli-gru" => "SLi-GRU",
            "sli-gru-stack" => "SLi-GRU, a stack",
            "layer-norm-lstm" => "LSTM with layer norms",
            "layer-norm-gru" => "GRU with layer norms",
            "gru-reset-before" => "GRU, reset before the product",
            "min-gru" => "minGRU",
            "gemm" => "Product",
            other => other,
        };
        write!(f, "{op}, {} {}", self.input, self.dtype)?;
        for word in self.special() {
            let word = match word {
                "ragged" => "lengths between half and the whole",
                "band" => "occupancy in a band, as under a trained model",
                other => other,
            };
            write!(f, ", {word}")?;
        }
        Ok(())
    }
}

impl Shape {
    fn read(fields: &Fields) -> Result<Self> {
        let sides = fields.0.get("shape").and_then(Value::as_object).ok_or_else(|| fields.failure("`shape` is no object"))?;
        // Lattices have T, U, V, joiners H too, and R where pruned; cells H and T, and stacks of them I and levels; products m, n and k. What
        // else a file tells follows.
        let order: &[char] = match (sides.contains_key("h"), sides.contains_key("m")) {
            (true, _) if sides.contains_key("u") => &['t', 'u', 'h', 'v', 'r', 'n'],
            (true, _) => &['i', 'h', 'l', 't', 'n'],
            (false, true) => &['m', 'n', 'k'],
            (false, false) => &['t', 'u', 'v', 'n'],
        };
        let side = |&letter: &char| Some((letter, sides.get(&letter.to_string())?.as_u64()?));
        Ok(Self(order.iter().filter_map(side).collect()))
    }

    #[cfg(test)]
    pub fn of(sides: &[(char, u64)]) -> Self {
        Self(sides.to_vec())
    }

    /// Size of a side; 1 if it has none of that letter.
    pub fn side(&self, letter: char) -> u64 {
        self.0.iter().find(|&&(l, _)| l == letter).map_or(1, |&(_, size)| size)
    }

    /// The same for any batch size. A product's n is no batch.
    pub fn without_batch(&self) -> Self {
        if self.0.iter().any(|&(letter, _)| letter == 'm') {
            return self.clone();
        }
        Self(self.0.iter().copied().filter(|&(letter, _)| letter != 'n').collect())
    }

    /// `150,40,28`.
    pub fn sizes(&self) -> String {
        self.0.iter().map(|(_, size)| size.to_string()).collect::<Vec<_>>().join(",")
    }

    /// `T,U,V`.
    pub fn letters(&self) -> String {
        self.0.iter().map(|(letter, _)| letter.to_uppercase().to_string()).collect::<Vec<_>>().join(",")
    }
}

/// `T150 U40 V28`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(|(letter, size)| format!("{}{size}", letter.to_uppercase())).collect();
        f.write_str(&words.join(" "))
    }
}

/// A JSON object and the file that it is from.
struct Fields<'a>(Value, &'a str);

impl<'a> Fields<'a> {
    fn parse(file: &'a str, text: &str) -> Result<Self> {
        let value = serde_json::from_str(text).map_err(|error| Failure::new(format!("{file}: {error}"), WAY_OUT))?;
        Ok(Self(value, file))
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::new(format!("{}: {what} in {:.200}", self.1, self.0.to_string()), WAY_OUT)
    }

    fn optional_text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn optional_number(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    fn text(&self, name: &str) -> Result<String> {
        self.optional_text(name).ok_or_else(|| self.failure(&format!("no text `{name}`")))
    }

    fn number(&self, name: &str) -> Result<f64> {
        self.optional_number(name).ok_or_else(|| self.failure(&format!("no number `{name}`")))
    }

    fn list(&self, name: &str) -> Result<impl Iterator<Item = Fields<'a>>> {
        let list = self.0.get(name).and_then(Value::as_array).ok_or_else(|| self.failure(&format!("no list `{name}`")))?;
        let file = self.1;
        Ok(list.clone().into_iter().map(move |value| Fields(value, file)))
    }
}

const WAY_OUT: &str = "write the file again: `cargo xtask bench --json FILE`, or a script of benches/peers";

#[cfg(test)]
pub mod samples {
    use super::*;

    /// A run of three batch sizes at one shape, the largest of which failed, and peers beside it.
    pub fn kept() -> Kept {
        let row = |n: u64, direction: &str, variant: &str, figures: &str| {
            format!(
                r#"{{"op": "rnnt", "input": "logits", "dtype": "f32", "layout": "padded", "lengths": "full", "data": "flat",
                "shape": {{"n": {n}, "t": 10, "u": 5, "v": 4}}, "direction": "{direction}", "variant": "{variant}", {figures}}}"#
            )
        };
        let figures = |ms: f64| {
            format!(
                r#""gpu_ms": {ms}, "gpu_median_ms": {ms}, "wall_ms": 1.0, "floor_ms": 0.02, "bytes": 100.0, "cells": 50, "workspace_bytes": 1200"#
            )
        };
        let rows = [
            row(1, "loss", "subgroups", &figures(0.05)),
            row(1, "loss+grad", "subgroups", &figures(0.1)),
            row(1, "loss+grad", "plain", &figures(0.15)),
            row(16, "loss+grad", "subgroups", &figures(0.2)),
            row(64, "loss+grad", "subgroups", &figures(0.4)),
            row(128, "loss+grad", "subgroups", r#""error": "too | large""#),
        ];
        let run = format!(
            r#"{{"kind": "weft", "adapter": "A card", "driver": "D 1", "backend": "vulkan", "subgroup": [32, 32], "date": "2030-01-02T03:04:05Z",
            "commit": "abc", "performance": true, "copy_gb_per_s": 2000.0, "dispatch_us": 2.0, "rows": [{}], "first_use": []}}"#,
            rows.join(",")
        );
        let peer = |n: u64, peer: &str, outcome: &str| {
            format!(
                r#"{{"op": "rnnt", "input": "logits", "dtype": "f32", "shape": {{"n": {n}, "t": 10, "u": 5, "v": 4}},
                "direction": "loss+grad", "peer": "{peer}", {outcome}}}"#
            )
        };
        let peers = [
            peer(1, "slow", r#""ms": 3.0, "error": null"#),
            peer(1, "fast", r#""ms": 1.0, "error": null"#),
            peer(16, "slow", r#""ms": 5.0, "error": null"#),
            peer(16, "fast", r#""ms": null, "error": "wrong result""#),
        ];
        let peers = format!(
            r#"{{"kind": "peers", "adapter": "A card", "driver": "D 1", "date": "2030-01-02T03:04:05Z", "packages": {{"torch": "9", "other": null}},
            "rows": [{}]}}"#,
            peers.join(",")
        );
        let run = Run::read(&Fields::parse("run.json", &run).unwrap()).unwrap();
        let peers = Peers::read(&Fields::parse("peers.json", &peers).unwrap()).unwrap();
        Kept { runs: vec![run], peers: vec![peers] }
    }

    #[test]
    fn a_missing_field_is_named_with_its_file() {
        let failure = Run::read(&Fields::parse("run.json", r#"{"kind": "weft"}"#).unwrap()).err().unwrap().to_string();
        assert!(failure.contains("run.json") && failure.contains("`adapter`"), "{failure}");
    }
}
