//! One file of the parts of a run: the whole benchmark takes longer than some machines are to be had for.

use std::path::Path;

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::{files, paths};

/// What must be the same in all parts.
const SAME: [&str; 5] = ["kind", "adapter", "driver", "backend", "commit"];
/// Lists that are joined.
const JOINED: [&str; 3] = ["parts", "rows", "first_use"];

/// Writes the parts, in their order, as one run. Limits of the device and the date are those of the first.
pub fn run(out: &Path, sources: &[String]) -> Result {
    let mut parts = Vec::new();
    for source in sources {
        let value: Value = serde_json::from_str(&files::read(Path::new(source))?)
            .map_err(|error| Failure::new(format!("{source}: {error}"), "write it again: `cargo xtask bench --part PART --json FILE`"))?;
        parts.push((source.as_str(), value));
    }
    let whole = merged(parts)?;
    files::write(out, &format!("{whole:#}\n"))?;
    println!("written: {}", paths::short(out));
    Ok(())
}

fn merged(parts: Vec<(&str, Value)>) -> Result<Value> {
    let mut parts = parts.into_iter();
    let Some((first, mut whole)) = parts.next() else { return Err(Failure::new("no parts", "name their files")) };
    for (name, part) in parts {
        for field in SAME {
            if whole.get(field) != part.get(field) {
                let cause = format!("{first} and {name} differ in `{field}`: {:?}, {:?}", whole.get(field), part.get(field));
                return Err(Failure::new(cause, "time all parts on one machine, at one commit"));
            }
        }
        for field in JOINED {
            let more = part.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
            if field == "parts" && more.iter().any(|part| whole[field].as_array().is_some_and(|known| known.contains(part))) {
                return Err(Failure::new(format!("{name} has a part that came before"), "name each part once"));
            }
            if let Some(all) = whole.get_mut(field).and_then(Value::as_array_mut) {
                all.extend(more);
            }
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_of_one_machine_and_commit_are_joined_and_others_refused() {
        let part = |part: &str, commit: &str| {
            json!({
                "kind": "weft", "adapter": "A", "driver": "D", "backend": "vulkan", "commit": commit, "parts": [part],
                "rows": [part], "first_use": [],
            })
        };
        let whole = merged(vec![("a", part("lattice", "1")), ("b", part("cells", "1"))]).unwrap();
        assert_eq!([&whole["rows"], &whole["parts"]], [&json!(["lattice", "cells"]); 2]);
        for other in [part("cells", "2"), part("lattice", "1")] {
            assert!(merged(vec![("a", part("lattice", "1")), ("b", other)]).is_err());
        }
    }
}
