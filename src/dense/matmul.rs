//! Products of tensors.

use super::Activation;
use super::gemm::{Form, Gemm};
use super::matrix::Matrix;
use crate::device::RunReport;
use crate::device::recording::Recording;
use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor, declare};

/// The product of two matrices of f32 or f16, which lie as `form` says: \[m, n] of f32, summed in f32.
///
/// Where a device multiplies matrices of f16 (tensor cores and the like), a large product of f32 is made of such products, of two halves of
/// each element: it is taken to 22 bits, and to 2^-38 of the largest that its row (in Tn and of B: its column) holds. What that adds to the
/// roundings of f32 sums is less than these; a row with an infinity becomes NaN. [`Variant::Plain`](crate::Variant::Plain) does without.
///
/// # Errors
/// As [`matmul_into`].
pub async fn matmul(form: Form, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let [m, n, _] = product_sides(form, a, b)?;
    let c = Tensor::empty(a.context(), &[m as usize, n as usize], DType::F32)?;
    matmul_into(form, a, b, &c, false).await?;
    Ok(c)
}

/// [`matmul`], into c \[m, n] of f32, or added to it. The same call gives the same bits on the same device.
///
/// # Errors
/// [`Error::Shape`] if sides do not agree, [`Error::Value`] if a tensor holds another type, if a side is 2^32 or more, or if c is
/// the memory of a factor; [`Error::OtherContext`]; [`Error::LimitExceeded`] if b, in the form Tn c, exceeds what a kernel can
/// see at once, or one row of another matrix does.
pub async fn matmul_into(form: Form, a: &Tensor, b: &Tensor, c: &Tensor, accumulate: bool) -> Result<RunReport> {
    let sides @ [m, n, _] = product_sides(form, a, b)?;
    c.expect_f32("c")?;
    if c.shape() != [m as usize, n as usize] {
        return Err(Error::Shape { argument: "c", expected: format!("[{m}, {n}]"), got: format!("{:?}", c.shape()) });
    }
    if c.same_memory(a) || c.same_memory(b) {
        return Err(Error::Value { argument: "c", value: "a factor".to_owned(), help: "give it memory of its own" });
    }
    let context = a.context();
    let (mut recording, mut bound) = (Recording::new(), Vec::new());
    let [a, b, c] = [("a", a), ("b", b), ("c", c)].map(|(label, tensor)| Matrix {
        buffer: declare(&mut recording, &mut bound, label, tensor),
        first: 0,
        stride: tensor.shape().last().map_or(0, |&width| width as u32),
        dtype: tensor.dtype(),
    });
    let product = Gemm { form, sides, a, b, c, bias: None, accumulates: accumulate, activations: [Activation::Identity; 2] };
    product.record_large(&mut recording, context.caps())?;
    context.run(&recording, &bound).await
}

/// [`matmul`], on the calling thread.
#[cfg(not(target_family = "wasm"))]
pub fn matmul_blocking(form: Form, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    pollster::block_on(matmul(form, a, b))
}

/// [`matmul_into`], on the calling thread.
#[cfg(not(target_family = "wasm"))]
pub fn matmul_into_blocking(form: Form, a: &Tensor, b: &Tensor, c: &Tensor, accumulate: bool) -> Result<RunReport> {
    pollster::block_on(matmul_into(form, a, b, c, accumulate))
}

/// m, n and k of a product.
fn product_sides(form: Form, a: &Tensor, b: &Tensor) -> Result<[u32; 3]> {
    for (argument, tensor) in [("a", a), ("b", b)] {
        if tensor.dtype() == DType::U32 {
            return Err(Error::Value { argument, value: format!("{:?}", tensor.dtype()), help: "give a tensor of f32 or f16" });
        }
    }
    let (a_sides, b_sides) = (sides(a, "a")?, sides(b, "b")?);
    let [m, a_depth] = if form == Form::Tn { [a_sides[1], a_sides[0]] } else { a_sides };
    let [n, b_depth] = if form == Form::Nt { b_sides } else { [b_sides[1], b_sides[0]] };
    if a_depth != b_depth {
        let expected = if form == Form::Nt { format!("[n, {a_depth}]") } else { format!("[{a_depth}, n]") };
        return Err(Error::Shape { argument: "b", expected, got: format!("{b_sides:?}") });
    }
    Ok([m, n, a_depth])
}

/// Two sides of a tensor, as shaders count.
pub(super) fn sides(tensor: &Tensor, argument: &'static str) -> Result<[u32; 2]> {
    let &[rows, columns] = tensor.shape() else {
        return Err(Error::Shape { argument, expected: "two sides".to_owned(), got: format!("{:?}", tensor.shape()) });
    };
    match (u32::try_from(rows), u32::try_from(columns)) {
        (Ok(rows), Ok(columns)) => Ok([rows, columns]),
        _ => Err(Error::Value { argument, value: format!("{:?}", tensor.shape()), help: "every side must be below 2^32" }),
    }
}
