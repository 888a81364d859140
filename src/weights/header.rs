//! The header of a safetensors file: which tensors there are, and where.

use super::json;
use crate::order::order;
use std::fmt;

/// Bytes before the header: its length.
pub(super) const LENGTH_BYTES: usize = 8;

/// One tensor of the file.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    /// First byte of the data, and the one after the last.
    pub offsets: (usize, usize),
}

impl Entry {
    /// From the parts of the header that were there.
    pub(super) fn new(name: String, dtype: Option<String>, shape: Option<Vec<usize>>, offsets: Option<Vec<usize>>) -> Self {
        match (dtype, shape, offsets.as_deref()) {
            (Some(dtype), Some(shape), Some(&[first, last])) => Self { name, dtype, shape, offsets: (first, last) },
            _ => Self { name, dtype: String::new(), shape: Vec::new(), offsets: (1, 0) },
        }
    }
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Problem {
    File(String),
    Tensor { name: String, problem: String },
}

impl Problem {
    fn tensor(entry: &Entry, problem: impl fmt::Display) -> Self {
        Self::Tensor { name: entry.name.clone(), problem: problem.to_string() }
    }
}

/// The tensors of a file in the order of their data, and where the data begins.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Entry>, usize), Problem> {
    let size = bytes.len();
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(Problem::File(format!("the file has {size} B: empty or truncated")));
    };
    let length = u64::from_le_bytes(*length);
    let Some(header) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        let follow = rest.len();
        return Err(Problem::File(format!("no safetensors, or truncated: it announces a header of {length} B, {follow} B follow")));
    };
    let no_safetensors = |why: &dyn fmt::Display| Problem::File(format!("no safetensors ({why}; {size} B)"));
    let text = std::str::from_utf8(header).map_err(|_| no_safetensors(&"its header is no text"))?;
    let mut entries = json::entries(text).map_err(|fault| no_safetensors(&fault))?;
    let places = order(entries.iter().map(|entry| (entry.offsets.0 as u64, entry.offsets.1 as u64)));
    let entries: Vec<Entry> = places.into_iter().map(|place| std::mem::take(&mut entries[place])).collect();
    check(&entries, rest.len() - header.len())?;
    Ok((entries, LENGTH_BYTES + header.len()))
}

/// The data must be whole: each tensor of its size, one after the other, no gap, `have` bytes in all.
fn check(entries: &[Entry], have: usize) -> Result<(), Problem> {
    let mut end = 0;
    for entry in entries {
        let (first, last) = entry.offsets;
        if first > last {
            return Err(Problem::tensor(entry, "has no dtype, shape or data_offsets, or a negative length"));
        }
        if first != end {
            return Err(Problem::tensor(entry, format!("begins at byte {first} of the data, the tensor before it ends at {end}")));
        }
        if let Some(bits) = bits(&entry.dtype) {
            let needed = entry.shape.iter().try_fold(bits, |n, &side| n.checked_mul(side)).map(|bits| bits.div_ceil(8));
            if needed != Some(last - first) {
                let (dtype, shape) = (&entry.dtype, &entry.shape);
                return Err(Problem::tensor(entry, format!("takes bytes {first}..{last} of the data, which is not {dtype} {shape:?}")));
            }
        }
        if last > have {
            let problem = format!("truncated: it takes bytes {first}..{last} of the data, of which the file holds {have}");
            return Err(Problem::tensor(entry, problem));
        }
        end = last;
    }
    if end != have {
        return Err(Problem::File(format!("{have} B of data, its tensors take {end}: it was not written whole")));
    }
    Ok(())
}

/// Bits of an element; `None` for a type that this crate does not know, and so never reads.
fn bits(dtype: &str) -> Option<usize> {
    let digits = dtype.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    match digits.split_once('_') {
        _ if dtype == "BOOL" => Some(8),
        Some((bits, _)) => bits.parse().ok(),
        None => digits.parse().ok(),
    }
}
