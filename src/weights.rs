//! Named tensors of a safetensors file.

use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, SafeTensors, TensorInfo};
use std::fmt;

/// Bytes before the header: its length.
const LENGTH_BYTES: usize = 8;

/// The tensors of a [safetensors](https://github.com/huggingface/safetensors) file, by name. F32 is
/// read as it is; F16 and BF16 are widened, which is exact.
pub struct Weights {
    source: String,
    bytes: Vec<u8>,
    /// Where the data begins in `bytes`.
    data: usize,
    metadata: Metadata,
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
        match SafeTensors::read_metadata(&bytes) {
            Ok((header, metadata)) => Ok(Self { source, data: LENGTH_BYTES + header, bytes, metadata }),
            Err(error) => Err(diagnose(source, &bytes, error)),
        }
    }

    /// Names of all tensors, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Sides of a tensor, outermost first; `None` if there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| &*info.shape)
    }

    /// The elements of a tensor, row-major.
    ///
    /// # Errors
    /// [`Error::Weights`] if there is no tensor of that name, or it is neither F32, F16 nor BF16.
    pub fn get(&self, name: &str) -> Result<Vec<f32>> {
        let info = self.info(name)?;
        let (first, last) = info.data_offsets;
        let data = &self.bytes[self.data + first..self.data + last];
        let pairs = || data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        match info.dtype {
            Dtype::F32 => Ok(data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            Dtype::F16 => Ok(pairs().map(widen_f16).collect()),
            Dtype::BF16 => Ok(pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
            other => Err(self.fault(name, format!("has dtype {other}, expected F32, F16 or BF16"))),
        }
    }

    /// [`get`](Self::get), of a tensor that must have this shape.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`Error::Weights`] with both shapes if they differ.
    pub fn get_shaped(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = &self.info(name)?.shape;
        if found != shape {
            return Err(self.fault(name, format!("has shape {found:?}, expected {shape:?}")));
        }
        self.get(name)
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.metadata.info(name).ok_or_else(|| {
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

/// What is wrong with a file, in terms of its tensors where the header can still be read.
fn diagnose(source: String, bytes: &[u8], error: SafeTensorError) -> Error {
    let size = bytes.len();
    let whole_file = |problem: String| Error::Weights { name: source.clone(), problem };
    let Some(header) = bytes.first_chunk::<LENGTH_BYTES>().map(|length| u64::from_le_bytes(*length)) else {
        return whole_file(format!("the file has {size} B: empty or truncated"));
    };
    match error {
        SafeTensorError::InvalidHeaderLength => {
            whole_file(format!("no safetensors, or truncated: it announces a header of {header} B, {} B follow", size - LENGTH_BYTES))
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            let end = LENGTH_BYTES + header as usize;
            let have = size - end;
            let metadata: Option<Metadata> = serde_json::from_slice(&bytes[LENGTH_BYTES..end]).ok();
            let cut = metadata.as_ref().and_then(|metadata| {
                let mut tensors: Vec<_> = metadata.tensors().into_iter().collect();
                tensors.sort_by_key(|(_, info)| info.data_offsets);
                tensors.into_iter().find(|(_, info)| info.data_offsets.1 > have).map(|(name, info)| (name, info.data_offsets))
            });
            match (cut, metadata) {
                (Some((name, (first, last))), _) => Error::Weights {
                    problem: format!("truncated: it takes bytes {first}..{last} of the data, of which the file holds {have}"),
                    name: format!("{name} of {source}"),
                },
                (None, Some(metadata)) => {
                    whole_file(format!("{} B of data, its tensors take {}: it was not written whole", have, metadata.data_len()))
                }
                (None, None) => whole_file(error.to_string()),
            }
        }
        other => whole_file(format!("no safetensors ({other}; {size} B)")),
    }
}

/// An IEEE half as f32: exact, subnormals and non-finite values included.
fn widen_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff);
    let value = match magnitude >> 10 {
        // Subnormal: a multiple of 2^-24.
        0 => magnitude as f32 * f32::from_bits(0x3380_0000),
        31 => f32::from_bits(0x7f80_0000 | (magnitude & 0x3ff) << 13),
        // The exponent's bias grows from 15 to 127.
        _ => f32::from_bits((magnitude << 13) + ((127 - 15) << 23)),
    };
    f32::from_bits(value.to_bits() | sign)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize};

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
        // 1, -2, 65504 (the largest), 2^-24 (the smallest subnormal), 1023 * 2^-24, inf, -0
        let halves: Vec<u8> = [0x3c00u16, 0xc000, 0x7bff, 1, 0x3ff, 0x7c00, 0x8000].iter().flat_map(|v| v.to_le_bytes()).collect();
        let brains: Vec<u8> = [0x3f80u16, 0xc040].iter().flat_map(|v| v.to_le_bytes()).collect();
        let weights = Weights::from_bytes(file(&[
            ("a", Dtype::F32, &[2], &floats),
            ("b", Dtype::F16, &[7], &halves),
            ("c", Dtype::BF16, &[1, 2], &brains),
            ("empty", Dtype::F32, &[0, 3], &[]),
        ]))
        .unwrap();
        assert_eq!(weights.get("a").unwrap(), [1.5, -2.0]);
        let b = weights.get("b").unwrap();
        assert_eq!(b, [1.0, -2.0, 65504.0, 2f32.powi(-24), 1023.0 * 2f32.powi(-24), f32::INFINITY, -0.0]);
        assert!(b[6].is_sign_negative());
        assert!(widen_f16(0x7e00).is_nan());
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

    #[test]
    fn every_truncation_is_an_error() {
        let whole = file(&[("first", Dtype::F32, &[2], &[0; 8]), ("second", Dtype::F16, &[4], &[0; 8])]);
        for length in 0..whole.len() {
            assert!(Weights::from_bytes(whole[..length].to_vec()).is_err());
        }
    }
}
