//! Every option in every layout and type, on every context, against the truth; and the table of it.
//!
//! `cargo xtask conformance` prints the table.

use crate::truth::{Head, Solution};
use crate::{Batch, GRADIENTS, Layout, contexts};
use std::collections::BTreeMap;
use weft::lattice::{CtcOutput, Gradients, Reduction, Status};
use weft::{Context, DType, f16};

/// Options of a loss and of its batch.
#[derive(Clone, Copy)]
struct Setting {
    name: &'static str,
    clamp: Option<f32>,
    weights: bool,
    reduction: Reduction,
}

const PLAIN: Setting = Setting { name: "plain", clamp: None, weights: false, reduction: Reduction::None };

const SETTINGS: [Setting; 8] = [
    PLAIN,
    Setting { name: "clamp", clamp: Some(0.1), ..PLAIN },
    Setting { name: "weights", weights: true, ..PLAIN },
    Setting { name: "sum", reduction: Reduction::Sum, ..PLAIN },
    Setting { name: "mean", reduction: Reduction::Mean, ..PLAIN },
    Setting { name: "mean over frames", reduction: Reduction::MeanFrames, ..PLAIN },
    Setting { name: "mean over labels", reduction: Reduction::MeanLabels, ..PLAIN },
    Setting { name: "all at once", clamp: Some(0.1), weights: true, reduction: Reduction::MeanLabels },
];

const LAYOUTS: [Layout; 5] = [Layout::Padded, Layout::Begin, Layout::Packed, Layout::TimeMajor, Layout::Crooked];

/// Frames and labels: as many as fit and one more, none of either, labels that repeat.
const LENGTHS: [[u32; 2]; 8] = [[9, 4], [4, 4], [6, 4], [0, 0], [3, 0], [0, 2], [3, 4], [1, 1]];
const WEIGHTS: [f32; 8] = [1.0, -2.0, 0.5, 1.0, 0.25, 1.0, -0.75, 0.0];

impl Setting {
    /// What a reduction divides by.
    fn denominator(&self) -> f64 {
        let sum = |side: usize| LENGTHS.iter().map(|length| f64::from(length[side])).sum();
        match self.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Mean => LENGTHS.len() as f64,
            Reduction::MeanFrames => sum(0),
            Reduction::MeanLabels => sum(1),
        }
    }

    fn weight(&self, n: usize) -> f64 {
        if self.weights { WEIGHTS[n].into() } else { 1.0 }
    }
}

/// Logits that a half holds too.
fn batch(blank: u32, vocab: usize) -> Batch {
    let [frames, labels] = [0, 1].map(|side| LENGTHS.map(|length| length[side]));
    let mut batch = Batch::random(blank.into(), [8, 10, vocab], 4, blank).with_lengths(&frames, &labels);
    batch.logits.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
    let one = batch.targets[8];
    batch.targets[8..12].fill(one);
    batch
}

/// Log-probabilities, no more normalised than a half can.
fn log_probs(logits: Batch) -> Batch {
    let mut batch = Batch { head: Head::LogProbs, ..logits };
    for row in batch.logits.chunks_mut(batch.shape[2]) {
        let total = row.iter().map(|x| x.exp()).sum::<f32>().ln();
        row.iter_mut().for_each(|x| *x = f16::from_f32(*x - total).to_f32());
    }
    batch
}

fn nan_is_infinite(x: f64) -> f64 {
    if x.is_nan() { f64::INFINITY } else { x }
}

/// Largest error of a cost (relative, or absolute below 1) and of a gradient (absolute); or what is wrong beyond numbers.
fn compare(batch: &Batch, setting: &Setting, layout: Layout, out: CtcOutput, solutions: &[Solution]) -> Result<[f64; 2], String> {
    let relative = |got: f64, expected: f64| nan_is_infinite((got - expected).abs() / expected.abs().max(1.0));
    let (loss, mut errors) = (out.loss, [0.0f64; 2]);
    let (costs, status) = (out.costs.clone(), out.status.clone());
    let gradients = out.gradients.is_some().then(|| batch.outcome(out, layout).gradients);
    let mut reduced = 0.0;
    for (n, solution) in solutions.iter().enumerate() {
        let scale = setting.weight(n) / setting.denominator();
        let expected = if solution.cost.is_finite() { Status::Ok } else { Status::Infeasible };
        if status[n] != expected {
            return Err(format!("utterance {n}: {:?} instead of {expected:?}", status[n]));
        }
        if expected == Status::Ok {
            errors[0] = errors[0].max(relative(costs[n].into(), solution.cost));
            reduced += scale * solution.cost;
        } else if costs[n] != f32::INFINITY {
            return Err(format!("utterance {n}: cost {}", costs[n]));
        }
        let Some(gradients) = &gradients else { continue };
        let clamp = setting.clamp.map_or(f64::INFINITY, f64::from);
        let of = |n: usize| &gradients[n * solution.gradient.len()..][..solution.gradient.len()];
        let off =
            of(n).iter().zip(&solution.gradient).map(|(&got, &g)| nan_is_infinite((f64::from(got) - scale * g.clamp(-clamp, clamp)).abs()));
        errors[1] = off.fold(errors[1], f64::max);
        let lived = if expected == Status::Ok { batch.frames[n] as usize * batch.shape[2] } else { 0 };
        if of(n)[lived..].iter().any(|&g| g != 0.0) {
            return Err(format!("utterance {n}: a gradient outside the lattice"));
        }
    }
    match (setting.reduction, loss) {
        (Reduction::None, None) => Ok(errors),
        (Reduction::None, Some(_)) | (_, None) => Err(format!("the reduction gives {loss:?}")),
        (_, Some(loss)) => Ok([errors[0].max(relative(loss, reduced)), errors[1]]),
    }
}

fn run(batch: &Batch, setting: &Setting, layout: Layout, dtype: DType, gradients: Gradients, context: &Context) -> weft::Result<CtcOutput> {
    let mut builder = batch.builder().gradients(gradients).reduction(setting.reduction);
    if let Some(limit) = setting.clamp {
        builder = builder.clamp(limit);
    }
    let logits = batch.upload_as(context, layout, dtype)?;
    let mut over = batch.over(&logits, layout);
    if setting.weights {
        over = over.weights(&WEIGHTS);
    }
    builder.build(context)?.run_blocking(&over)
}

/// SwiftShader compiles a kernel for seconds: it gets one layout.
fn is_wanted(adapter: &str, setting: &Setting, layout: Layout, dtype: DType) -> bool {
    !adapter.contains("SwiftShader") || (layout == Layout::Padded && dtype == DType::F32 && matches!(setting.name, "plain" | "all at once"))
}

/// Lines of blanks and layouts, and of blanks and settings: the largest errors of each column.
type Table = BTreeMap<String, BTreeMap<String, [f64; 2]>>;

fn note(table: &mut Table, line: String, column: &str, errors: [f64; 2]) {
    let known = table.entry(line).or_default().entry(column.to_owned()).or_default();
    *known = [0, 1].map(|i| known[i].max(errors[i]));
}

fn print(title: &str, table: &Table) {
    let mut columns: Vec<&String> = table.values().flat_map(BTreeMap::keys).collect();
    columns.sort_by_key(|column| (!column.contains("F32"), column.as_str()));
    columns.dedup();
    println!("\n| {title} | {} |", columns.iter().map(|column| &column[2..]).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    for (line, cells) in table {
        let cell =
            |column: &&String| cells.get(*column).map_or("–".to_owned(), |[cost, gradient]| format!("{cost:.0e} / {gradient:.0e}"));
        println!("| {line} | {} |", columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
}

#[test]
fn table() {
    let (mut by_layout, mut by_setting) = (Table::new(), Table::new());
    let (mut runs, mut failures) = (0, Vec::new());
    let batches = [(0, 6), (3, 6), (5, 6), (0, 7), (6, 7)]
        .into_iter()
        .flat_map(|(blank, vocab)| [batch(blank, vocab), log_probs(batch(blank, vocab))]);
    for batch in batches {
        let scores = if batch.head == Head::LogProbs { "log-probs" } else { "logits" };
        let scores = format!("{scores}, blank {} of {}", batch.blank, batch.shape[2]);
        let solutions = batch.solve();
        assert!(solutions.iter().any(|solution| solution.cost.is_infinite()));
        for (number, setting) in SETTINGS.iter().enumerate() {
            for layout in LAYOUTS {
                for dtype in [DType::F32, DType::F16] {
                    for gradients in GRADIENTS.into_iter().chain([Gradients::None]) {
                        let wanted = |(_, (name, _)): &(usize, &(String, Context))| is_wanted(name, setting, layout, dtype);
                        for (column, (name, context)) in contexts().iter().enumerate().filter(wanted) {
                            let out = run(&batch, setting, layout, dtype, gradients, context).map_err(|error| error.to_string());
                            let errors = out.and_then(|out| compare(&batch, setting, layout, out, &solutions));
                            let allowed = [5e-6, if dtype == DType::F16 { 1e-3 } else { 1e-5 }];
                            let what = format!("{scores}, {}, {layout:?} {dtype:?} {gradients:?} on {name}", setting.name);
                            runs += 1;
                            match errors {
                                Err(problem) => failures.push(format!("{what}: {problem}")),
                                Ok(errors) => {
                                    if errors[0] > allowed[0] || errors[1] > allowed[1] {
                                        failures.push(format!("{what}: {errors:?}, allowed {allowed:?}"));
                                    }
                                    let short = ["Plain", "Subgroups"]
                                        .iter()
                                        .find_map(|variant| name.find(variant))
                                        .map_or(&name[..], |at| &name[at..]);
                                    let column = format!("{column} {dtype:?} {short}");
                                    note(&mut by_layout, format!("{scores}, {layout:?}"), &column, errors);
                                    note(&mut by_setting, format!("{number} {}", setting.name), &column, errors);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    println!("\nCTC against f64: {runs} runs on");
    contexts().iter().for_each(|(name, _)| println!("- {name}"));
    println!("\nEach cell: largest error of a cost (relative) / of a gradient (absolute).");
    print("CTC, layout", &by_layout);
    print("CTC, setting", &by_setting);
    assert!(failures.is_empty(), "{} of {runs} runs fail, such as\n{}", failures.len(), failures[..failures.len().min(12)].join("\n"));
}
