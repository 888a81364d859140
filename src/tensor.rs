//! Tensors: memory of a context, with a shape and a type.

use crate::device::recording::{BufferId, Recording, Role};
use crate::device::{Context, RunReport, Storage};
use crate::error::{Error, Result};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use std::fmt;

/// Type of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 32-bit unsigned integer.
    U32,
    /// 16-bit float (IEEE 754 binary16): storage only, arithmetic is in f32.
    F16,
}

impl DType {
    /// Bytes of one element.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 => 2,
        }
    }
}

/// A dense row-major array that lives in a context. Clones share the memory; it goes back to the
/// context's pool with the last of them.
#[derive(Clone)]
pub struct Tensor {
    context: Context,
    storage: Storage,
    shape: Vec<usize>,
    dtype: DType,
}

impl Tensor {
    /// A tensor with arbitrary content.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] if the device grants no buffer of that size.
    pub fn empty(context: &Context, shape: &[usize], dtype: DType) -> Result<Self> {
        let elements = shape.iter().try_fold(1u64, |n, &side| n.checked_mul(side as u64));
        let bytes = elements.and_then(|n| n.checked_mul(dtype.bytes())).filter(|&n| n <= u64::MAX - 3).ok_or_else(|| Error::Shape {
            argument: "shape",
            expected: "less than 2^64 bytes".to_owned(),
            got: format!("{shape:?}"),
        })?;
        let storage = context.allocate(whole_words(bytes))?;
        Ok(Self { context: context.clone(), storage, shape: shape.to_vec(), dtype })
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// As [`empty`](Self::empty).
    pub fn zeros(context: &Context, shape: &[usize], dtype: DType) -> Result<Self> {
        let tensor = Self::empty(context, shape, dtype)?;
        context.clear(&tensor.storage, tensor.window_bytes())?;
        Ok(tensor)
    }

    /// Uploads f32 values.
    ///
    /// # Errors
    /// [`Error::Shape`] if `values` does not fill `shape`; as [`empty`](Self::empty).
    pub fn from_slice(context: &Context, shape: &[usize], values: &[f32]) -> Result<Self> {
        Self::upload(context, shape, values.len(), bytemuck::cast_slice(values), DType::F32)
    }

    /// Uploads u32 values.
    ///
    /// # Errors
    /// As [`from_slice`](Self::from_slice).
    pub fn from_u32(context: &Context, shape: &[usize], values: &[u32]) -> Result<Self> {
        Self::upload(context, shape, values.len(), values, DType::U32)
    }

    /// Uploads f16 values.
    ///
    /// # Errors
    /// As [`from_slice`](Self::from_slice).
    pub fn from_f16(context: &Context, shape: &[usize], values: &[f16]) -> Result<Self> {
        match bytemuck::try_cast_slice(values) {
            Ok(words) => Self::upload(context, shape, values.len(), words, DType::F16),
            // An odd number of them, or they begin within a word.
            Err(_) => {
                let mut words = vec![0u32; values.len().div_ceil(2)];
                bytemuck::cast_slice_mut(&mut words)[..values.len()].copy_from_slice(values);
                Self::upload(context, shape, values.len(), &words, DType::F16)
            }
        }
    }

    fn upload(context: &Context, shape: &[usize], len: usize, words: &[u32], dtype: DType) -> Result<Self> {
        let elements = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
        if elements != Some(len) {
            return Err(Error::Shape {
                argument: "values",
                expected: format!("the elements of shape {shape:?}{}", elements.map_or(String::new(), |n| format!(", {n}"))),
                got: format!("{len} elements"),
            });
        }
        let tensor = Self::empty(context, shape, dtype)?;
        if !words.is_empty() {
            context.write(&tensor.storage, words)?;
        }
        Ok(tensor)
    }

    /// Sides, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the elements in bytes.
    pub fn bytes(&self) -> u64 {
        self.dtype.bytes() * self.len() as u64
    }

    /// Size in bytes of a binding that shows it whole: whole words, at least one.
    pub(crate) fn window_bytes(&self) -> u64 {
        whole_words(self.bytes())
    }

    #[cfg(test)]
    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Whether both are the same memory.
    pub(crate) fn same_memory(&self, other: &Self) -> bool {
        self.storage.same_as(&other.storage)
    }

    /// Fails unless it holds f32.
    pub(crate) fn expect_f32(&self, argument: &'static str) -> Result<()> {
        match self.dtype {
            DType::F32 => Ok(()),
            other => Err(Error::Value { argument, value: format!("{other:?}"), help: "give a tensor of f32" }),
        }
    }

    /// The context it lives in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The wgpu buffer that holds the elements from its first byte on, to share with other code on the
    /// context's device; `None` on the CPU. It may be longer than the tensor, and it holds other data
    /// soon after the tensor's last clone is gone.
    pub fn buffer(&self) -> Option<&wgpu::Buffer> {
        self.storage.buffer()
    }

    /// The same memory under another shape of as many elements.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of elements differs.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side)) != Some(self.len()) {
            return Err(Error::Shape { argument: "shape", expected: format!("{} elements", self.len()), got: format!("{shape:?}") });
        }
        Ok(Self { shape: shape.to_vec(), ..self.clone() })
    }

    /// Reads f32 values back to the host; those of f16 are converted, which is exact.
    ///
    /// # Errors
    /// [`Error::Value`] if the tensor holds integers; [`Error::DeviceLost`], [`Error::OutOfMemory`].
    pub async fn to_vec(&self) -> Result<Vec<f32>> {
        if self.dtype != DType::F16 {
            return Ok(self.read(DType::F32).await?.into_iter().map(f32::from_bits).collect());
        }
        let words = self.read(DType::F16).await?;
        let mut values = vec![0.0; self.len()];
        bytemuck::cast_slice::<u32, f16>(&words)[..self.len()].convert_to_f32_slice(&mut values);
        Ok(values)
    }

    /// Reads u32 values back to the host.
    ///
    /// # Errors
    /// [`Error::Value`] if the tensor is not u32; [`Error::DeviceLost`], [`Error::OutOfMemory`].
    pub async fn to_vec_u32(&self) -> Result<Vec<u32>> {
        self.read(DType::U32).await
    }

    /// Reads the first words back to the host, whatever they hold.
    pub(crate) async fn first_words(&self, words: u64) -> Result<Vec<u32>> {
        let bytes = 4 * words;
        if bytes > self.window_bytes() {
            let (expected, got) = (format!("at most {} B", self.window_bytes()), format!("{bytes} B"));
            return Err(Error::Shape { argument: "words", expected, got });
        }
        if words == 0 { Ok(Vec::new()) } else { self.context.read(&self.storage, bytes).await }
    }

    /// [`to_vec`](Self::to_vec), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn to_vec_blocking(&self) -> Result<Vec<f32>> {
        pollster::block_on(self.to_vec())
    }

    /// [`to_vec_u32`](Self::to_vec_u32), on the calling thread.
    #[cfg(not(target_family = "wasm"))]
    pub fn to_vec_u32_blocking(&self) -> Result<Vec<u32>> {
        pollster::block_on(self.to_vec_u32())
    }

    async fn read(&self, dtype: DType) -> Result<Vec<u32>> {
        if dtype != self.dtype {
            return Err(Error::Value { argument: "dtype", value: format!("{dtype:?}"), help: "read the tensor as the type that it holds" });
        }
        if self.is_empty() {
            return Ok(Vec::new());
        }
        self.context.read(&self.storage, self.window_bytes()).await
    }
}

/// Declares a tensor as the next buffer that a run is given.
pub(crate) fn declare<'a>(recording: &mut Recording, bound: &mut Vec<&'a Tensor>, label: &'static str, tensor: &'a Tensor) -> BufferId {
    bound.push(tensor);
    recording.bound(label, tensor.window_bytes())
}

/// The nearest f16, ties to even; beyond the largest of those, that one.
pub(crate) fn nearest_half(x: f32) -> f16 {
    f16::from_f32(if x.is_nan() { x } else { x.clamp(-65_504.0, 65_504.0) })
}

/// Bytes in whole words, at least one: WebGPU has no empty bindings.
fn whole_words(bytes: u64) -> u64 {
    bytes.next_multiple_of(4).max(4)
}

impl Context {
    /// Runs a plan on tensors of this context, given in the order in which the plan declared them.
    pub(crate) async fn run(&self, recording: &Recording, bound: &[&Tensor]) -> Result<RunReport> {
        let declared = recording.buffers.iter().filter(|buffer| matches!(buffer.role, Role::Bound(_)));
        for (tensor, info) in bound.iter().zip(declared) {
            if !tensor.context.same_as(self) {
                return Err(Error::OtherContext { argument: info.label });
            }
            if tensor.window_bytes() < info.bytes {
                let (expected, got) = (format!("{} B", info.bytes), format!("{} B", tensor.window_bytes()));
                return Err(Error::Shape { argument: info.label, expected, got });
            }
        }
        let storages: Vec<&Storage> = bound.iter().map(|tensor| &tensor.storage).collect();
        self.run_on(recording, &storages).await
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor {:?} {:?} on {}", self.shape, self.dtype, self.context.caps().adapter)
    }
}
