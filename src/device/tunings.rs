//! What was measured on devices, kept as long as the process runs, or in a file.

use super::Caps;
use super::shader::SHADERS;
use serde_json::{Value, json};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

/// What a file says of itself, beside the version of this crate and the kernels that were measured.
const FORMAT: u64 = 1;
/// Beyond this, the oldest entries go.
const MOST_ENTRIES: usize = 4096;
/// A file that is larger is not one of these.
const MOST_BYTES: u64 = 16 << 20;

/// One finding: on which device, what was asked, what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    device: String,
    what: String,
    found: String,
}

/// A table of findings. Several contexts, and several processes, may keep theirs in the same file.
#[derive(Default)]
pub(crate) struct Tunings {
    file: Option<PathBuf>,
    entries: Mutex<Vec<Entry>>,
}

impl fmt::Debug for Tunings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunings").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Tunings {
    /// That of all contexts of this process that name no file.
    pub(super) fn of_process() -> Arc<Self> {
        static TABLE: LazyLock<Arc<Tunings>> = LazyLock::new(Arc::default);
        TABLE.clone()
    }

    /// What a file has; nothing if it is none of this build's.
    pub(super) fn of_file(path: &Path) -> Arc<Self> {
        Arc::new(Self { file: Some(path.to_owned()), entries: Mutex::new(read(path)) })
    }

    /// What was found on such a device.
    pub(crate) fn find(&self, caps: &Caps, what: &str) -> Option<String> {
        let device = device(caps);
        self.entries().iter().find(|entry| entry.device == device && entry.what == what).map(|entry| entry.found.clone())
    }

    /// Takes over what others have written to the file since it was read; what is known here already stays.
    pub(crate) fn refresh(&self) {
        if let Some(path) = &self.file {
            let others = read(path);
            let mut entries = self.entries();
            *entries = merged(others, &entries);
        }
    }

    /// Adds a finding, or replaces that of the same device and question; and writes the file, if there is one. A file that cannot be
    /// written is logged, and otherwise none.
    pub(crate) fn keep(&self, caps: &Caps, what: String, found: String) {
        {
            let mut entries = self.entries();
            *entries = merged(std::mem::take(&mut *entries), &[Entry { device: device(caps), what, found }]);
        }
        let Some(path) = &self.file else { return };
        // Of contexts of this process none reads what another is about to replace.
        static WRITING: Mutex<()> = Mutex::new(());
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh();
        let text = text(&self.entries());
        if let Err(error) = replace(path, text.as_bytes()) {
            log::warn!("{}: what was measured could not be kept: {error}", path.display());
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of both; where both answer the same question, the newer.
fn merged(mut entries: Vec<Entry>, newer: &[Entry]) -> Vec<Entry> {
    entries.retain(|entry| newer.iter().all(|new| new.device != entry.device || new.what != entry.what));
    entries.extend_from_slice(newer);
    let surplus = entries.len().saturating_sub(MOST_ENTRIES);
    entries.drain(..surplus);
    entries
}

/// All of a device that times, or what can run at all, depend on.
fn device(caps: &Caps) -> String {
    let Caps {
        adapter,
        driver,
        backend,
        kind,
        subgroups,
        matrices,
        coherent,
        together,
        timestamps: _,
        max_buffer_bytes,
        max_binding_bytes,
        max_storage_buffers: _,
        max_invocations,
        max_workgroup_bytes,
        max_workgroups,
        storage_alignment,
    } = caps;
    let [min, max] = subgroups.unwrap_or_default();
    let (matrices, coherent) = (matrices.unwrap_or(0), u8::from(*coherent));
    format!(
        "{adapter}; {driver}; {backend}; {kind:?}; subgroups {min}..{max}; matrices {matrices}; coherent {coherent}; together {together}; \
         invocations {max_invocations}, {max_workgroup_bytes} B; workgroups {max_workgroups}; buffers {max_buffer_bytes} B, \
         {max_binding_bytes} B at {storage_alignment}"
    )
}

/// A number of a text that is the same in all processes (Fowler, Noll and Vo's 1a, of 64 bits).
pub(crate) fn digest(text: &str) -> u64 {
    digest_on(0xcbf2_9ce4_8422_2325, text)
}

fn digest_on(before: u64, text: &str) -> u64 {
    text.bytes().fold(before, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The kernels of cells, whose times are no longer true of others.
fn kernels() -> u64 {
    static DIGEST: OnceLock<u64> = OnceLock::new();
    let cells = || SHADERS.iter().filter(|shader| shader.name.starts_with("cell_"));
    *DIGEST.get_or_init(|| cells().fold(digest(""), |before, shader| digest_on(before, &shader.wgsl(""))))
}

fn header() -> [(&'static str, Value); 3] {
    [("weft_tunings", json!(FORMAT)), ("weft", json!(env!("CARGO_PKG_VERSION"))), ("kernels", json!(format!("{:016x}", kernels())))]
}

fn text(entries: &[Entry]) -> String {
    let entries: Vec<Value> =
        entries.iter().map(|Entry { device, what, found }| json!({ "device": device, "what": what, "found": found })).collect();
    let mut fields: serde_json::Map<String, Value> = header().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    fields.insert("entries".to_owned(), Value::Array(entries));
    format!("{:#}\n", Value::Object(fields))
}

/// The entries of a file. Of another build, of another kind, broken or not there: none.
fn read(path: &Path) -> Vec<Entry> {
    let mut text = String::new();
    let is_read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    match is_read {
        Ok(_) => parsed(&text).unwrap_or_else(|| {
            log::info!("{}: not what this build has measured, so it is measured anew", path.display());
            Vec::new()
        }),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("{}: what was measured could not be read: {error}", path.display());
            }
            Vec::new()
        }
    }
}

fn parsed(text: &str) -> Option<Vec<Entry>> {
    let value: Value = serde_json::from_str(text).ok()?;
    if header().iter().any(|(name, expected)| value.get(name) != Some(expected)) {
        return None;
    }
    let entry = |value: &Value| {
        let field = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Entry { device: field("device")?, what: field("what")?, found: field("found")? })
    };
    value.get("entries")?.as_array()?.iter().map(entry).collect()
}

/// Puts a file in place of another, or of none, so that whoever reads it sees either the old one or all of the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no name of a file"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = name.to_owned();
    beside.push(format!(".{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let beside = path.with_file_name(beside);
    let written = OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&beside);
    }
    replaced
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A path in a folder of its own, which is removed in the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("weft-tunings-{}-{name}", std::process::id())))
        }

        fn file(&self) -> PathBuf {
            self.0.join("deeper/tunings.json")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn keep(tunings: &Tunings, caps: &Caps, what: &str, found: &str) {
        tunings.keep(caps, what.to_owned(), found.to_owned());
    }

    #[test]
    fn findings_are_read_back_and_nothing_else_lies_beside_the_file() {
        let place = Place::new("back");
        let (one, other) = (Caps::portable(), Caps { driver: "a \"newer\" one\n".to_owned(), ..Caps::portable() });
        let first = Tunings::of_file(&place.file());
        keep(&first, &one, "lstm", "stepped");
        keep(&first, &one, "lstm", "local");
        keep(&first, &other, "lstm", "scan");
        let again = Tunings::of_file(&place.file());
        assert_eq!(again.find(&one, "lstm").as_deref(), Some("local"));
        assert_eq!(again.find(&other, "lstm").as_deref(), Some("scan"));
        assert_eq!(again.find(&one, "gru"), None);
        assert_eq!(again.find(&Caps { together: 3, ..one.clone() }, "lstm"), None);
        assert_eq!(fs::read_dir(place.file().parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn those_who_share_a_file_keep_what_the_others_found() {
        let place = Place::new("share");
        let caps = Caps::portable();
        let [one, other] = [0; 2].map(|_| Tunings::of_file(&place.file()));
        keep(&one, &caps, "a", "1");
        assert_eq!(other.find(&caps, "a"), None);
        keep(&other, &caps, "b", "2");
        assert_eq!(other.find(&caps, "a").as_deref(), Some("1"));
        one.refresh();
        assert_eq!(one.find(&caps, "b").as_deref(), Some("2"));
        assert_eq!(Tunings::of_file(&place.file()).entries().len(), 2);
    }

    #[test]
    fn what_is_not_of_this_build_is_left_out_and_written_anew() {
        let place = Place::new("foreign");
        let caps = Caps::portable();
        keep(&Tunings::of_file(&place.file()), &caps, "a", "1");
        let good = fs::read_to_string(place.file()).unwrap();
        assert_eq!(parsed(&good).unwrap().len(), 1);
        let older = good.replace(env!("CARGO_PKG_VERSION"), "0.0.9");
        let other_format = good.replace("\"weft_tunings\": 1", "\"weft_tunings\": 2");
        let other_kernels = good.replace(&format!("{:016x}", kernels()), "0123456789abcdef");
        let no_answer = good.replace("\"found\"", "\"lost\"");
        let cut = good[..good.len() / 2].to_owned();
        for text in [older, other_format, other_kernels, no_answer, cut, "[1, 2]".to_owned(), "\0".to_owned(), String::new()] {
            assert_ne!(text, good);
            fs::write(place.file(), &text).unwrap();
            let tunings = Tunings::of_file(&place.file());
            assert_eq!(tunings.find(&caps, "a"), None, "{text}");
            keep(&tunings, &caps, "b", "2");
            let again = Tunings::of_file(&place.file());
            let count = again.entries().len();
            assert_eq!((count, again.find(&caps, "b").as_deref()), (1, Some("2")), "{text}");
        }
        // Bytes that are no text.
        fs::write(place.file(), [0xff, 0xfe, 0x80]).unwrap();
        assert!(Tunings::of_file(&place.file()).entries().is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_written_changes_nothing_else() {
        let place = Place::new("folder");
        fs::create_dir_all(place.file()).unwrap();
        let caps = Caps::portable();
        for path in [place.file(), PathBuf::from("/"), PathBuf::new()] {
            let tunings = Tunings::of_file(&path);
            keep(&tunings, &caps, "a", "1");
            assert_eq!(tunings.find(&caps, "a").as_deref(), Some("1"));
        }
        assert_eq!(fs::read_dir(place.file().parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn old_findings_make_room() {
        let entry = |number: usize| Entry { device: String::new(), what: number.to_string(), found: String::new() };
        let all: Vec<Entry> = (0..MOST_ENTRIES).map(entry).collect();
        let after = merged(all, &[entry(MOST_ENTRIES), entry(5)]);
        assert_eq!((after.len(), &after[0], after.last()), (MOST_ENTRIES, &entry(1), Some(&entry(5))));
    }

    #[test]
    fn a_digest_is_the_published_one() {
        // Of the authors' test vectors.
        assert_eq!([digest(""), digest("a"), digest("foobar")], [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]);
    }
}
