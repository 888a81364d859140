//! Every kind with every setting in every form, on every context, against the truth; and the table of it.
//!
//! `cargo xtask conformance` prints the table.

use crate::case::{Case, Errors};
use crate::contexts;
use crate::forms::{Form, Layout, Meaning, PADDED, inputs};
use crate::kinds::{Row, VOCAB, kinds, sampled};
use crate::settings::{PLAIN, Setting, settings};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use weft::DType;
use weft::lattice::Gradients;

/// Largest errors by kind, row of the table and column.
type Table = BTreeMap<(usize, String, String), Errors>;

const DTYPES: [DType; 2] = [DType::F32, DType::F16];

/// The first setting and the last are run with more forms, and with rows of another parity.
fn is_thorough(setting: &Setting) -> bool {
    matches!(setting.name, "plain" | "all at once")
}

/// Forms in which a setting is run: every input and layout; f16, gradients in place, and costs alone in all of them where it is
/// thorough, else padded.
fn forms(row: &Row, setting: &Setting) -> Vec<Form> {
    use Gradients::{InPlace, None, Separate};
    let thorough = is_thorough(setting);
    let mut forms = Vec::new();
    for (meaning, layout) in inputs(row.is_gathered()) {
        for dtype in DTYPES {
            let wanted = thorough || dtype == DType::F32 || layout == Layout::Padded;
            let modes = if thorough { &[Separate, InPlace, None][..] } else { &[Separate] };
            forms.extend(modes.iter().filter(|_| wanted).map(|&gradients| Form { meaning, layout, dtype, gradients }));
        }
    }
    forms
}

/// SwiftShader compiles a kernel for seconds, into hundreds of megabytes: it gets one form of two kinds.
fn is_wanted(adapter: &str, row: &Row, setting: &Setting, form: Form) -> bool {
    let kind = matches!(row.name, "RNN-T" | "TDT 0 1 2 4") && row.vocab == VOCAB && is_thorough(setting);
    let plain = form.layout == Layout::Padded && form.dtype == DType::F32 && form.gradients == Gradients::Separate;
    !adapter.contains("SwiftShader") || (kind && plain && form.meaning == Meaning::Logits)
}

struct Results {
    by_form: Table,
    by_setting: Table,
    runs: usize,
    failures: Vec<String>,
}

fn conform(kind: usize, row: &Row, results: &Mutex<Results>) {
    for (number, setting) in settings().iter().enumerate().filter(|(_, setting)| row.vocab == VOCAB || is_thorough(setting)) {
        let Some(case) = Case::new(row, setting, 100 + number as u64) else { continue };
        let expected = [Meaning::Logits, Meaning::LogProbs, Meaning::Gathered].map(|meaning| {
            let wanted = meaning != Meaning::Gathered || row.is_gathered();
            if wanted { case.expected(meaning) } else { Vec::new() }
        });
        for form in forms(row, setting) {
            for (column, (name, context)) in contexts().iter().enumerate().filter(|(_, (name, _))| is_wanted(name, row, setting, form)) {
                let outcome = case.try_run(form, context).map_err(|error| error.to_string());
                let errors = outcome.and_then(|outcome| case.compare(form, &outcome, &expected[form.meaning as usize]));
                let allowed = Case::tolerance(form);
                let mut results = results.lock().unwrap();
                results.runs += 1;
                let what = format!("{}, {}, {form:?} on {name}", row.name, setting.name);
                match errors {
                    Ok(errors) => {
                        if errors.cost > allowed.cost || errors.gradient > allowed.gradient {
                            results.failures.push(format!("{what}: {errors:?}, allowed {allowed:?}"));
                        }
                        let column = format!("{column} {:?} {}", form.dtype, short(name));
                        let parity = ["even", "odd"][row.channels() % 2];
                        let line = match form.meaning {
                            Meaning::Gathered => format!("{:?} {:?}", form.meaning, form.layout),
                            _ => format!("{:?} {:?}, {parity} rows", form.meaning, form.layout),
                        };
                        note(&mut results.by_form, (kind, line, column.clone()), errors);
                        note(&mut results.by_setting, (kind, format!("{number:02} {}", setting.name), column), errors);
                    }
                    Err(problem) => results.failures.push(format!("{what}: {problem}")),
                }
            }
        }
    }
}

fn note(table: &mut Table, key: (usize, String, String), errors: Errors) {
    let known = table.entry(key).or_default();
    *known = known.max(errors);
}

/// `cpu`, `Plain` or `Subgroups 8..8`: the adapter's name is above the table.
fn short(name: &str) -> String {
    match ["Plain", "Subgroups"].iter().find_map(|variant| name.find(variant)) {
        Some(at) => name[at..].to_owned(),
        None => name.to_owned(),
    }
}

/// A line a row of each kind; each cell has the largest error of a cost (relative) and of a gradient (absolute).
fn print(title: &str, table: &Table, kinds: &[Row]) {
    let columns: Vec<&String> = {
        let mut columns: Vec<&String> = table.keys().map(|(_, _, column)| column).collect();
        columns.sort_by_key(|column| (!column.contains("F32"), column.as_str()));
        columns.dedup();
        columns
    };
    println!("\n| kind | {title} | {} |", columns.iter().map(|column| &column[2..]).collect::<Vec<_>>().join(" | "));
    println!("|---|---|{}", "---|".repeat(columns.len()));
    let mut lines: Vec<(usize, &String)> = table.keys().map(|(kind, line, _)| (*kind, line)).collect();
    lines.dedup();
    for (kind, line) in lines {
        let cell = |column: &&String| match table.get(&(kind, line.clone(), (*column).clone())) {
            Some(errors) => format!("{:.0e} / {:.0e}", errors.cost, errors.gradient),
            None => "–".to_owned(),
        };
        let name = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        println!("| {} | {name} | {} |", kinds[kind].name, columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
}

/// Among the utterances of the suite are some that are drawn, and some that are not.
#[test]
fn both_lattices_of_a_sampled_kind_are_taken() {
    let row = sampled();
    let case = Case::new(&row, &PLAIN, 100).unwrap();
    let costs = |row: Row| Case { row, ..case.clone() }.run(PADDED, &contexts()[0].1).costs;
    let [sampled, always, never] =
        [&row.kind, &row.kind.clone().sometimes_rnnt(1.0).unwrap(), &row.kind.clone().sometimes_rnnt(0.0).unwrap()]
            .map(|kind| costs(Row { kind: kind.clone(), ..row.clone() }));
    let drawn = sampled.iter().zip(always.iter().zip(&never)).filter(|(_, (always, never))| always != never);
    let drawn: Vec<bool> = drawn.map(|(cost, (always, _))| cost == always).collect();
    assert!(drawn.contains(&true) && drawn.contains(&false), "{drawn:?}");
}

#[test]
fn table() {
    let kinds: Vec<Row> = kinds().into_iter().chain([sampled()]).collect();
    assert_eq!(settings()[0].name, PLAIN.name);
    let results = Mutex::new(Results { by_form: Table::new(), by_setting: Table::new(), runs: 0, failures: Vec::new() });
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                while let Some((kind, row)) = kinds.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    conform(kind, row, &results);
                    conform(kind, &Row { vocab: VOCAB + 1, ..row.clone() }, &results);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    println!("\nTransducer losses against f64: {} runs on", results.runs);
    contexts().iter().for_each(|(name, _)| println!("- {name}"));
    println!("\nEach cell: largest error of a cost (relative) / of a gradient (absolute).");
    print("input and layout", &results.by_form, &kinds);
    print("setting", &results.by_setting, &kinds);
    let wrong = &results.failures;
    assert!(wrong.is_empty(), "{} of {} runs fail, such as\n{}", wrong.len(), results.runs, wrong[..wrong.len().min(12)].join("\n"));
}
