//! The `#import` / `#ifdef` composer: shader files in, one WGSL text a variant out.
//!
//! Every line of the result remembers the file and line it came from, so that an error of any later
//! stage can be told in terms of what somebody wrote.

use super::unroll::{self, Mistake};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where a composed line came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub file: PathBuf,
    pub line: usize,
}

/// One mistake, with its place.
#[derive(Clone, Debug)]
pub struct Fault {
    pub origin: Origin,
    pub variant: String,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { file, line } = &self.origin;
        write!(f, "{}:{line}: [{}] {}", file.display(), self.variant, self.message)
    }
}

/// A composed shader text.
#[derive(Default)]
pub struct Composed {
    pub text: String,
    /// `origins[i]` is where line `i` (0-based) of `text` came from.
    pub origins: Vec<Origin>,
    /// The lines (0-based) of its slot, which hold a sample of what programs fill it with.
    pub slot: Option<Range<usize>>,
    /// The numbers that it is unrolled by, if plans may set them, and the text before.
    pub shape: Vec<(String, u32)>,
    pub rolled: Option<Box<Composed>>,
}

impl Composed {
    /// The text before its slot, what fills it, and the text behind; without a slot, all of it is before.
    pub fn parts(&self) -> [String; 3] {
        let lines: Vec<&str> = self.text.split_inclusive('\n').collect();
        let slot = self.slot.clone().unwrap_or(lines.len()..lines.len());
        [&lines[..slot.start], &lines[slot.clone()], &lines[slot.end..]].map(|lines| lines.concat())
    }

    /// With everything repeated that is to be repeated (src/device/unroll.rs).
    fn unrolled(self, variant: &str) -> Result<Self, Vec<Fault>> {
        let fault = |(line, message): Mistake| {
            let origin = self.origins.get(line).cloned().unwrap_or(Origin { file: PathBuf::new(), line: 0 });
            vec![Fault { origin, variant: variant.to_owned(), message }]
        };
        let unroll::Unrolled { text, lines, shape } = unroll::unroll(&self.text, &[]).map_err(fault)?;
        let origins = lines.iter().map(|&line| self.origins[line].clone()).collect();
        let place = |of: usize| lines.iter().position(|&line| line >= of).unwrap_or(lines.len());
        let slot = self.slot.as_ref().map(|slot| place(slot.start)..place(slot.end));
        let rolled = (!shape.is_empty()).then(|| Box::new(self));
        Ok(Self { text, origins, slot, shape, rolled })
    }

    /// Where a byte of the text came from.
    pub fn origin_of(&self, byte: usize) -> Origin {
        let byte = byte.min(self.text.len());
        let line = self.text.as_bytes()[..byte].iter().filter(|&&b| b == b'\n').count();
        let last = self.origins.len().saturating_sub(1);
        self.origins.get(line.min(last)).cloned().unwrap_or(Origin { file: PathBuf::new(), line: 0 })
    }
}

/// Composes `file` (relative to `root`) with the given flags set.
///
/// Directives stand alone on a line: `#import NAME` (once a text, from `root/shared/NAME.wgsl`),
/// `#slot NAME` (likewise, but this is a sample, whose place others take when a plan runs; once a text),
/// `#ifdef FLAG`, `#ifndef FLAG`, `#else`, `#endif`; and those of src/device/unroll.rs.
pub fn compose(root: &Path, file: &str, variant: &str, flags: &[String]) -> Result<Composed, Vec<Fault>> {
    let mut composer = Composer { root, variant, flags, out: Composed::default(), imported: BTreeSet::new(), faults: Vec::new() };
    composer.include(&PathBuf::from(format!("{file}.wgsl")), None);
    if composer.faults.is_empty() { composer.out.unrolled(variant) } else { Err(composer.faults) }
}

struct Composer<'a> {
    root: &'a Path,
    variant: &'a str,
    flags: &'a [String],
    out: Composed,
    imported: BTreeSet<String>,
    faults: Vec<Fault>,
}

/// An open `#ifdef`: where it began and whether its lines are kept now.
struct Condition {
    origin: Origin,
    keep: bool,
    parent_keep: bool,
    has_else: bool,
}

impl Composer<'_> {
    fn fault(&mut self, origin: Origin, message: impl Into<String>) {
        self.faults.push(Fault { origin, variant: self.variant.to_owned(), message: message.into() });
    }

    fn include(&mut self, relative: &Path, from: Option<Origin>) {
        let text = match fs::read_to_string(self.root.join(relative)) {
            Ok(text) => text,
            Err(error) => {
                let origin = from.unwrap_or(Origin { file: relative.to_owned(), line: 0 });
                return self.fault(origin, format!("cannot read {}: {error}", relative.display()));
            }
        };
        let mut conditions: Vec<Condition> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let origin = Origin { file: relative.to_owned(), line: index + 1 };
            let keep = conditions.last().is_none_or(|c| c.keep);
            let trimmed = line.trim();
            let is_later = ["#shape ", "#repeat "].iter().any(|directive| trimmed.starts_with(directive)) || trimmed == "#end";
            if !trimmed.starts_with('#') || is_later {
                if keep {
                    self.out.text.push_str(line);
                    self.out.text.push('\n');
                    self.out.origins.push(origin);
                }
                continue;
            }
            let mut words = trimmed.split_whitespace();
            let directive = words.next().unwrap_or_default();
            let argument = words.next();
            match (directive, argument) {
                ("#import", Some(name)) => {
                    if keep && self.imported.insert(name.to_owned()) {
                        self.include(&PathBuf::from(format!("shared/{name}.wgsl")), Some(origin));
                    }
                }
                ("#slot", Some(name)) if keep => {
                    if self.out.slot.is_some() {
                        self.fault(origin.clone(), "second #slot of one text");
                    }
                    let first = self.out.origins.len();
                    self.include(&PathBuf::from(format!("shared/{name}.wgsl")), Some(origin));
                    self.out.slot = Some(first..self.out.origins.len());
                }
                ("#slot", Some(_)) => {}
                ("#ifdef" | "#ifndef", Some(flag)) => {
                    let set = self.flags.iter().any(|f| f == flag);
                    let holds = if directive == "#ifdef" { set } else { !set };
                    conditions.push(Condition { origin, keep: keep && holds, parent_keep: keep, has_else: false });
                }
                ("#else", None) => match conditions.last_mut() {
                    Some(c) if !c.has_else => {
                        c.keep = c.parent_keep && !c.keep;
                        c.has_else = true;
                    }
                    Some(_) => self.fault(origin, "second #else of one #ifdef"),
                    None => self.fault(origin, "#else without #ifdef"),
                },
                ("#endif", None) => {
                    if conditions.pop().is_none() {
                        self.fault(origin, "#endif without #ifdef");
                    }
                }
                _ => self.fault(
                    origin,
                    format!("unknown directive `{trimmed}`: write #import NAME, #slot NAME, #ifdef FLAG, #ifndef FLAG, #else, #endif, #shape NAME DEFAULT, #repeat NAME COUNT or #end"),
                ),
            }
        }
        for open in conditions {
            self.fault(open.origin, "#ifdef without #endif");
        }
    }
}
