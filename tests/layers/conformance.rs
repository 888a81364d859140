//! Every cell with every option, by every tier, on every context, against the f64 truth; and the table of it.
//!
//! `cargo xtask conformance` prints the table.

use crate::case::{self, Case, Pair};
use crate::common::contexts_with;
use crate::pairs;
use crate::truth;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use weft::recurrent::Tier;
use weft::recurrent::cells::{Cell, ForgetGate};
use weft::{Context, Error};

/// T, N, I, H: more than one workgroup of units where two run together, sides that are no multiples of anything.
const SIZES: [usize; 4] = [6, 3, 5, 19];

/// Types of x, y and of the weights of both products; what is allowed forward, and in training with gradients, relative to the largest
/// number of its kind. In f16 each step rounds h, by 2^-12 of itself.
const DTYPES: [(&str, [f64; 2]); 2] = [("f32", [1e-5, 2e-5]), ("f16", [2e-3, 2e-2])];

/// What a tier made of a cell on a context, forward and in training with gradients: the error, or why it was refused.
type Outcome = [Result<f64, String>; 2];

/// All cells by their names; batch norms and projections too, which only layers have.
fn cells() -> Vec<(String, Pair)> {
    let named = pairs::pairs().into_iter().map(|pairs::Pair { name, cell, truth }| (name, Pair { cell, truth }));
    let normed = [("li gru, batch norm", false, truth::Cell::li_gru()), ("affine sli gru, batch norm", true, truth::Cell::sli_gru())];
    let normed = normed.map(|(name, layer_norm, plain)| {
        let truth = truth::Cell { norm_ih: Some(truth::Norm::RUNNING), ..plain };
        (name.to_owned(), Pair { cell: case::batch_normed(layer_norm, layer_norm), truth })
    });
    let projected = [
        ("lstm, projected", Cell::lstm(), truth::Cell::lstm()),
        ("s lstm, projected", Cell::s_lstm(ForgetGate::Sigmoid), truth::Cell::s_lstm()),
    ];
    let projected =
        projected.map(|(name, cell, plain)| (name.to_owned(), Pair { cell, truth: truth::Cell { projection: Some(7), ..plain } }));
    named.chain(normed).chain(projected).collect()
}

/// Both directions: ragged, with sequences that begin anew.
fn run(pair: &Pair, (tier, dtype): (Tier, &str), context: &Context) -> [Result<f64, Error>; 2] {
    [Case::forward_error, Case::training_error].map(|error| {
        let mut worst = 0.0f64;
        for reverse in [false, true] {
            let case = Case::random(pair, SIZES, 20);
            let mut case = if dtype == "f16" { case.half() } else { case };
            case.problem.reverse = reverse;
            case.problem.lengths = vec![6, 0, 4];
            case.problem.resets = vec![(0, 0), (3, 0), (1, 2), (5, 2)];
            case.tier = Some(tier);
            worst = worst.max(error(&case, context)?);
        }
        Ok(worst)
    })
}

/// SwiftShader compiles a kernel for seconds, into hundreds of megabytes: it gets the cells that real models have.
fn is_wanted(adapter: &str, cell: &str) -> bool {
    !adapter.contains("SwiftShader") || matches!(cell, "lstm" | "gru")
}

/// What cannot be is refused, and nothing else: whether a tier takes a cell forward, and backward.
fn can(pair: &Pair, tier: Tier) -> [bool; 2] {
    let (cell, norms) = (&pair.cell, pair.cell.norms());
    let has_norms = norms.recurrent.is_some() || norms.state.is_some();
    match (tier, cell.recurrent().len()) {
        (Tier::Scan, rows) => [rows == 0 && !has_norms; 2],
        (Tier::Stepped, rows) => [rows > 0 || has_norms; 2],
        (Tier::Local | Tier::Persistent, rows) => [rows > 0 && cell.second() == 0; 2],
    }
}

/// `cpu`, `Plain` or `Subgroups 8..8`: the adapter's name is above the table.
fn short(name: &str) -> &str {
    ["Plain", "Subgroups"].iter().find_map(|variant| name.find(variant)).map_or(name, |at| &name[at..])
}

/// By cell, tier, type and context.
type Table = BTreeMap<[usize; 4], Outcome>;

/// A line a cell and tier; where a tier is refused, the number of the reason below.
fn print(cells: &[(String, Pair)], contexts: &[(String, Context)], table: &Table) {
    println!("\nRecurrent cells against f64, on");
    contexts.iter().for_each(|(name, _)| println!("- {name}"));
    println!("\nEach cell: largest error forward / in training with all gradients, relative to the largest number of its kind.\n");
    println!("| cell | tier | dtype | {} |", contexts.iter().map(|(name, _)| short(name)).collect::<Vec<_>>().join(" | "));
    println!("|---|---|---|{}", "---|".repeat(contexts.len()));
    let mut reasons: Vec<String> = Vec::new();
    for (place, (name, _)) in cells.iter().enumerate() {
        let lines = Tier::ALL.iter().enumerate().flat_map(|tier| DTYPES.iter().enumerate().map(move |dtype| (tier, dtype)));
        for ((number, tier), (kind, (dtype, _))) in lines {
            let outcomes: Vec<Option<&Outcome>> = (0..contexts.len()).map(|context| table.get(&[place, number, kind, context])).collect();
            let mut half = |half: &Result<f64, String>| match half {
                Ok(error) => format!("{error:.0e}"),
                Err(reason) => {
                    let known = reasons.iter().position(|known| known == reason).unwrap_or_else(|| {
                        reasons.push(reason.clone());
                        reasons.len() - 1
                    });
                    format!("– ({})", known + 1)
                }
            };
            let mut cell = |outcome: &Option<&Outcome>| match outcome {
                None => "not run".to_owned(),
                Some([Err(forward), Err(backward)]) if forward == backward => half(&Err(forward.clone())),
                Some([forward, backward]) => format!("{} / {}", half(forward), half(backward)),
            };
            let columns: Vec<String> = outcomes.iter().map(&mut cell).collect();
            println!("| {name} | {tier} | {dtype} | {} |", columns.join(" | "));
        }
    }
    println!();
    reasons.iter().enumerate().for_each(|(number, reason)| println!("({}) {reason}  ", number + 1));
}

/// The cells of published models, and one of each way to go from frame to frame.
#[test]
fn tiers_of_some_cells() {
    let plain = ["lstm", "lstm peepholes", "gru", "gru reset before", "li gru Relu", "min gru", "lstm, projected"];
    let some = [&plain[..], &["sli gru Relu", "layer norm lstm"]].concat();
    let cells: Vec<(String, Pair)> = cells().into_iter().filter(|(name, _)| some.contains(&&**name)).collect();
    assert_eq!(cells.len(), some.len());
    conform(&cells);
}

#[test]
#[ignore = "takes minutes: `cargo xtask conformance` runs it"]
fn table() {
    conform(&cells());
}

fn conform(cells: &[(String, Pair)]) {
    // As many workgroups as two cores run at the same time.
    let contexts = contexts_with(|options| options.with_workgroups_together(2));
    let (table, failures) = (Mutex::new(Table::new()), Mutex::new(Vec::new()));
    let next = AtomicUsize::new(0);
    let run_all = |place: usize, (name, pair): &(String, Pair)| {
        for (column, (adapter, context)) in contexts.iter().enumerate().filter(|(_, (adapter, _))| is_wanted(adapter, name)) {
            let lines = Tier::ALL.iter().enumerate().flat_map(|tier| DTYPES.iter().enumerate().map(move |dtype| (tier, dtype)));
            for ((number, &tier), (kind, &(dtype, tolerances))) in lines {
                let mut outcomes = run(pair, (tier, dtype), context).into_iter().zip(can(pair, tier)).zip(tolerances);
                let outcome = [(); 2].map(|()| {
                    let Some(((outcome, can), tolerance)) = outcomes.next() else { return Err("not run".to_owned()) };
                    let allowed = Case::random(pair, SIZES, 20).loosened(tolerance);
                    let fits = match &outcome {
                        Ok(error) => can && *error <= allowed,
                        Err(error) => !can && matches!(error, Error::Tier { .. }),
                    };
                    if !fits {
                        let what = format!("{name}, {tier}, {dtype}, on {adapter}");
                        failures.lock().unwrap().push(format!("{what}: {outcome:?}, allowed {allowed:?}, expected to run: {can}"));
                    }
                    outcome.map_err(|error| match error {
                        Error::Tier { reason, .. } => reason,
                        other => other.to_string(),
                    })
                });
                table.lock().unwrap().insert([place, number, kind, column], outcome);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                while let Some((place, cell)) = cells.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    run_all(place, cell);
                }
            });
        }
    });
    print(cells, &contexts, &table.into_inner().unwrap());
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} fail, such as\n{}", failures.len(), failures[..failures.len().min(12)].join("\n"));
}
