//! The table of kinds, joiners, types and adapters: largest errors against f64.
//!
//! `cargo xtask conformance` prints it.

use crate::LENGTHS;
use crate::case::Case;
use crate::common::shared_contexts;
use crate::kinds::kinds;
use std::collections::BTreeMap;
use weft::dense::Activation;

/// Name, E, P, H, activation.
const JOINERS: [(&str, [usize; 3], Activation); 4] = [
    ("projected, tanh", [3, 5, 8], Activation::Tanh),
    ("projected, relu", [3, 5, 8], Activation::Relu),
    ("a layer, sigmoid", [0, 0, 6], Activation::Sigmoid),
    ("a sum", [0, 0, 0], Activation::Identity),
];

#[test]
fn table() {
    println!("| kind | joiner | adapter | cost f32 | gradient f32 | cost f16 | gradient f16 |\n|---|---|---|---|---|---|---|");
    for row in kinds() {
        for (place, (joiner, widths, activation)) in JOINERS.into_iter().enumerate() {
            let case = Case { activation, ..Case::new(&row, &LENGTHS, widths, place as u64) };
            // Of adapters in all of their variants the worst.
            let mut worst: BTreeMap<String, [f64; 4]> = BTreeMap::new();
            for (name, context) in shared_contexts() {
                let errors =
                    [case.clone(), case.clone().in_halves()].map(|case| case.checked(&format!("{}, {joiner}, {name}", row.name), &context));
                let known = worst.entry(name.split(" (").next().unwrap_or(&name).to_owned()).or_default();
                known.iter_mut().zip(errors.concat()).for_each(|(known, error)| *known = known.max(error));
            }
            for (adapter, [cost, gradient, half_cost, half_gradient]) in worst {
                println!("| {} | {joiner} | {adapter} | {cost:.1e} | {gradient:.1e} | {half_cost:.1e} | {half_gradient:.1e} |", row.name);
            }
        }
    }
}
