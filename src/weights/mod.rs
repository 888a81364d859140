//! Named tensors of a safetensors file.

mod header;
mod json;

use crate::error::{Error, Result};
use half::f16;
use header::{Entry, Problem};
use std::fmt;

/// The tensors of a [safetensors](https://github.com/huggingface/safetensors) file, by name. F32 is
/// read as it is; F16 and BF16 are widened, which is exact.
pub struct Weights {
    source: String,
    bytes: Vec<u8>,
    /// Where the data begins in `bytes`.
    data: usize,
    entries: Vec<Entry>,
}

impl Weights {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Weights`] if it cannot be read, or as [`from_bytes`](Self::from_bytes).
    #[cfg(not(target_family = "wasm"))]
    pub fn read(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        let source = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| Error::Weights { name: source.clone(), problem: error.to_string() })?;
        Self::parse(source, bytes)
    }

    /// Takes the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Weights`] if they are empty, truncated, or no safetensors at all.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::parse("weights".to_owned(), bytes)
    }

    fn parse(source: String, bytes: Vec<u8>) -> Result<Self> {
        match header::read(&bytes) {
            Ok((entries, data)) => Ok(Self { source, bytes, data, entries }),
            Err(Problem::File(problem)) => Err(Error::Weights { name: source, problem }),
            Err(Problem::Tensor { name, problem }) => Err(Error::Weights { name: format!("{name} of {source}"), problem }),
        }
    }

    /// Names of all tensors, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.clone()).collect()
    }

    /// Sides of a tensor, outermost first; `None` if there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).map(|entry| &*entry.shape)
    }

    /// The elements of a tensor, row-major.
    ///
    /// # Errors
    /// [`Error::Weights`] if there is no tensor of that name, or it is neither F32, F16 nor BF16.
    pub fn get(&self, name: &str) -> Result<Vec<f32>> {
        let entry = self.entry(name)?;
        let (first, last) = entry.offsets;
        let data = &self.bytes[self.data..][first..last];
        let pairs = || data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        match &*entry.dtype {
            "F32" => Ok(data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            "F16" => Ok(pairs().map(|bits| f16::from_bits(bits).to_f32()).collect()),
            "BF16" => Ok(pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
            other => Err(self.fault(name, format!("has dtype {other}, expected F32, F16 or BF16"))),
        }
    }

    /// [`get`](Self::get), of a tensor that must have this shape.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`Error::Weights`] with both shapes if they differ.
    pub fn get_shaped(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = &self.entry(name)?.shape;
        if found != shape {
            return Err(self.fault(name, format!("has shape {found:?}, expected {shape:?}")));
        }
        self.get(name)
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.find(name).ok_or_else(|| {
            let names = self.names();
            let shown = names.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if names.len() > 12 { ", …" } else { "" };
            self.fault(name, format!("not among the {} tensors of the file ({shown}{more})", names.len()))
        })
    }

    /// An error about one tensor of this file.
    pub(crate) fn fault(&self, name: &str, problem: String) -> Error {
        Error::Weights { name: format!("{} of {}", name, self.source), problem }
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights of {}: {} tensors, {} B", self.source, self.names().len(), self.bytes.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView, serialize};

    fn file(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.to_vec(), data).unwrap()));
        serialize(views.collect::<Vec<_>>(), None).unwrap()
    }

    fn message(bytes: Vec<u8>) -> String {
        Weights::from_bytes(bytes).unwrap_err().to_string()
    }

    #[test]
    fn f32_f16_and_bf16_are_read() {
        let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        // 1, -2, 65504 (the largest), 2^-24 (the smallest subnormal), 1023 * 2^-24, inf, -0, NaN
        let halves: Vec<u8> = [0x3c00u16, 0xc000, 0x7bff, 1, 0x3ff, 0x7c00, 0x8000, 0x7e00].iter().flat_map(|v| v.to_le_bytes()).collect();
        let brains: Vec<u8> = [0x3f80u16, 0xc040].iter().flat_map(|v| v.to_le_bytes()).collect();
        let weights = Weights::from_bytes(file(&[
            ("a", Dtype::F32, &[2], &floats),
            ("b", Dtype::F16, &[8], &halves),
            ("c", Dtype::BF16, &[1, 2], &brains),
            ("empty", Dtype::F32, &[0, 3], &[]),
        ]))
        .unwrap();
        assert_eq!(weights.get("a").unwrap(), [1.5, -2.0]);
        let b = weights.get("b").unwrap();
        assert_eq!(b[..7], [1.0, -2.0, 65504.0, 2f32.powi(-24), 1023.0 * 2f32.powi(-24), f32::INFINITY, -0.0]);
        assert!(b[6].is_sign_negative() && b[7].is_nan());
        assert_eq!(weights.get_shaped("c", &[1, 2]).unwrap(), [1.0, -3.0]);
        assert_eq!(weights.get_shaped("empty", &[0, 3]).unwrap(), [0f32; 0]);
        assert_eq!(weights.shape("c"), Some(&[1, 2][..]));
        assert_eq!(weights.shape("d"), None);
        assert_eq!(weights.names().len(), 4);
    }

    #[test]
    fn wrong_names_shapes_and_types_are_named() {
        let weights = Weights::from_bytes(file(&[("gate", Dtype::F32, &[2, 1], &[0; 8]), ("count", Dtype::I64, &[1], &[0; 8])])).unwrap();
        let said = weights.get("gat").unwrap_err().to_string();
        assert!(said.contains("gat of weights") && said.contains("2 tensors") && said.contains("gate"), "{said}");
        let said = weights.get_shaped("gate", &[1, 2]).unwrap_err().to_string();
        assert!(said.contains("[2, 1]") && said.contains("[1, 2]"), "{said}");
        let said = weights.get("count").unwrap_err().to_string();
        assert!(said.contains("count") && said.contains("I64"), "{said}");
    }

    #[test]
    fn damaged_files_are_told_apart() {
        assert!(message(Vec::new()).contains("0 B"));
        assert!(message(vec![1, 2, 3]).contains("3 B"));
        let whole = file(&[("first", Dtype::F32, &[2], &[0; 8]), ("second", Dtype::F32, &[4], &[0; 16])]);
        for cut in [1, 15, 16] {
            let said = message(whole[..whole.len() - cut].to_vec());
            assert!(said.contains("second of weights") && said.contains("8..24") && said.contains(&(24 - cut).to_string()), "{said}");
        }
        let said = message(whole[..whole.len() - 17].to_vec());
        assert!(said.contains("first of weights") && said.contains("0..8") && said.contains("holds 7"), "{said}");
        let said = message(whole[..20].to_vec());
        assert!(said.contains("truncated") && said.contains("12 B follow"), "{said}");
        let mut longer = whole.clone();
        longer.push(0);
        let said = message(longer);
        assert!(said.contains("25 B of data") && said.contains("take 24"), "{said}");
        let mut bad_json = whole.clone();
        bad_json[8] = b'x';
        assert!(message(bad_json).contains("no safetensors"));
        // The first bytes of a picture announce a header of exabytes.
        assert!(message(b"\x89PNG\r\n\x1a\n and so on".to_vec()).contains("no safetensors"));
    }

    /// A file with this header and so many bytes of data.
    fn with_header(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
    }

    #[test]
    fn headers_that_do_not_add_up_are_told() {
        let entry = |dtype: &str, shape: &str, from: usize, to: usize| {
            format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
        };
        for (header, words) in [
            (format!(r#"{{"a":{}}}"#, entry("F32", "[3]", 0, 8)), vec!["a of weights", "F32 [3]"]),
            (format!(r#"{{"a":{}}}"#, entry("F32", "[4611686018427387904,4611686018427387904]", 0, 8)), vec!["a of weights"]),
            (format!(r#"{{"a":{}}}"#, entry("F32", "[2]", 8, 0)), vec!["negative length"]),
            (format!(r#"{{"a":{},"a":{}}}"#, entry("F32", "[1]", 0, 4), entry("F32", "[1]", 4, 8)), vec!["a of weights", "ends at 0"]),
            (format!(r#"{{"a":{},"b":{}}}"#, entry("F32", "[1]", 0, 4), entry("F32", "[1]", 2, 6)), vec!["b of weights", "ends at 4"]),
            (format!(r#"{{"a":{},"b":{}}}"#, entry("F32", "[1]", 0, 4), entry("F32", "[0]", 6, 6)), vec!["b of weights", "ends at 4"]),
            (r#"{"a":{"dtype":"F32","shape":[2]}}"#.to_owned(), vec!["a of weights", "data_offsets"]),
            (r#"{"a":7}"#.to_owned(), vec!["a of weights", "data_offsets"]),
            ("{}".to_owned(), vec!["8 B of data", "take 0"]),
        ] {
            let said = message(with_header(&header, 8));
            assert!(words.iter().all(|word| said.contains(word)), "{header}: {said}");
        }
        let good = format!(r#"{{"__metadata__":{{"by":"hand \u00e9"}},"a\u00e9":{}}}   "#, entry("F32", "[2]", 0, 8));
        assert_eq!(Weights::from_bytes(with_header(&good, 8)).unwrap().get("aé").unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = file(&[("first", Dtype::F32, &[2], &[0; 8]), ("second", Dtype::F16, &[4], &[0; 8])]);
        for length in 0..whole.len() {
            assert!(Weights::from_bytes(whole[..length].to_vec()).is_err());
        }
    }
}
