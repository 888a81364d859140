//! Tiers that are chosen by measurement.

use crate::case::{Case, Pair};
use crate::common::contexts_with;
use crate::truth;
use std::path::PathBuf;
use weft::recurrent::Cell;
use weft::{Context, ContextOptions};

const MEASURED: &str = "the fastest, by measurement";

/// What plans of 30 frames say, forward and backward.
fn reasons(case: &Case, context: &Context) -> [String; 2] {
    let layer = case.layer(context);
    [layer.plan(30, 3).unwrap().explain().why, layer.plan_training(30, 3).unwrap()[1].explain().why]
}

#[test]
fn layers_go_by_what_was_measured_if_their_context_asks_for_it() {
    let pair = Pair { cell: Cell::lstm(), truth: truth::Cell::lstm() };
    let case = Case::random(&pair, [30, 3, 5, 19], 30);
    let plain = contexts_with(|options| options.with_workgroups_together(2));
    for (place, (name, context)) in contexts_with(|options| options.with_workgroups_together(2).with_tuning(true)).iter().enumerate() {
        assert!(reasons(&case, context).iter().all(|why| why != MEASURED), "{name}");
        case.check(name, context, 1e-5);
        case.check_gradients(name, context, 2e-5);
        // The twins have no clock of their own: the model decides.
        let expected = context.caps().timestamps;
        for why in reasons(&case, context) {
            assert_eq!(why == MEASURED, expected, "{name}: {why}");
        }
        let explanation = case.layer(context).plan(30, 3).unwrap().explain();
        let slower = explanation.refused.iter().filter(|refusal| refusal.possible && refusal.reason == "slower, by measurement").count();
        assert_eq!(slower, if expected { 2 } else { 0 }, "{name}: {explanation}");
        // One frame is a launch, whatever was measured; so is what was asked for; others do not know of it.
        let frame = case.layer(context).plan(1, 3).unwrap().explain();
        assert!(frame.why != MEASURED, "{name}: {frame}");
        let plain = reasons(&case, &plain[place].1);
        assert!(plain.iter().all(|why| why != MEASURED), "{name}: {plain:?}");
    }
}

/// A folder of this test, which is removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_was_measured_is_kept_in_a_file_and_not_measured_again() {
    let folder = Folder(std::env::temp_dir().join(format!("weft-tuning-{}", std::process::id())));
    let file = folder.0.join("tunings.json");
    let contexts = |options: fn(ContextOptions) -> ContextOptions| {
        contexts_with(|given| options(given.with_workgroups_together(2)).with_tuning_file(&file))
    };
    let pair = Pair { cell: Cell::lstm(), truth: truth::Cell::lstm() };
    let case = Case::random(&pair, [30, 3, 5, 20], 30);
    let measured = |context: &Context| reasons(&case, context).map(|why| why == MEASURED);
    for (name, context) in &contexts(|options| options) {
        assert_eq!(measured(context), [false; 2], "{name}");
        case.check(name, context, 1e-5);
        case.check_gradients(name, context, 2e-5);
        assert_eq!(measured(context), [context.caps().timestamps; 2], "{name}");
    }
    // The table of the process has none of it; others who name the file have all of it, before any call.
    for (name, context) in &contexts_with(|options| options.with_workgroups_together(2).with_tuning(true)) {
        assert_eq!(measured(context), [false; 2], "{name}");
    }
    for (name, context) in &contexts(|options| options) {
        assert_eq!(measured(context), [context.caps().timestamps; 2], "{name}");
    }
    // On a device that is not the same, as its windows are smaller, nothing was.
    for (name, context) in &contexts(|options| options.with_max_binding_bytes(1 << 24)) {
        assert_eq!(measured(context), [false; 2], "{name}");
    }
    if !file.exists() {
        // No device here has a clock.
        return;
    }
    // A broken file is as none: calls measure, and write it anew.
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    for (name, context) in &contexts(|options| options) {
        assert_eq!(measured(context), [false; 2], "{name}");
        case.check(name, context, 1e-5);
        assert_eq!(measured(context), [context.caps().timestamps, false], "{name}");
    }
    for (name, context) in &contexts(|options| options) {
        assert_eq!(measured(context), [context.caps().timestamps, false], "{name}");
    }
}
