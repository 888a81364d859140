//! Compilers take the text of every cell.

use crate::all::cells;
use crate::harness::kernel;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::collections::BTreeSet;

/// naga takes them. Where the environment has `WEFT_DUMP_SHADERS=DIR`, they are written as DIR/cell_NAME.web.wgsl, for `tests/tint/check.mjs`.
#[test]
fn naga_takes_every_text() {
    let dump = std::env::var_os("WEFT_DUMP_SHADERS");
    for (name, cell) in cells() {
        let text = kernel(&cell);
        let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(&text)));
        Validator::new(ValidationFlags::all(), Capabilities::empty())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(&text)));
        let names = module.functions.iter().filter_map(|(_, function)| function.name.as_deref());
        let structs = module.types.iter().filter_map(|(_, kind)| kind.name.as_deref());
        for declared in names.chain(structs) {
            assert!(declared.starts_with("cell_") || declared.starts_with("Cell"), "{name}: {declared}");
        }
        if let Some(dump) = &dump {
            std::fs::create_dir_all(dump).unwrap();
            std::fs::write(std::path::Path::new(dump).join(format!("cell_{name}.web.wgsl")), text).unwrap();
        }
    }
}

#[test]
fn names_are_distinct_and_texts_the_same_each_time() {
    let cells = cells();
    let names: BTreeSet<&String> = cells.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), cells.len());
    for ((name, one), (_, two)) in cells.iter().zip(&crate::all::cells()) {
        assert_eq!(one.wgsl(), two.wgsl(), "{name}");
    }
}

/// Only cells that need them have the parts of a second product, and of a normalised state.
#[test]
fn parts() {
    for (name, cell) in cells() {
        let text = cell.wgsl();
        assert_eq!(text.contains("fn cell_mid("), name.contains("before") || name == "gru_2" || name == "gru_3", "{name}");
        assert_eq!(text.contains("fn cell_output("), cell.norms().state.is_some(), "{name}");
    }
}
