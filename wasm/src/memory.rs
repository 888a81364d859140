//! Arrays into and out of the module's memory. An array that does not fit is an error, where a slice
//! argument would end the instance.

use crate::error::{Result, to_js};
use js_sys::{Float32Array, Float64Array, Uint8Array, Uint32Array};
use weft::Error;

fn room<T>(length: u32) -> Result<Vec<T>> {
    let mut values = Vec::new();
    let bytes = u64::from(length) * size_of::<T>() as u64;
    values.try_reserve_exact(length as usize).map_err(|_| to_js(Error::OutOfMemory { bytes }))?;
    Ok(values)
}

/// Copies f32 values in.
pub(crate) fn floats(array: &Float32Array) -> Result<Vec<f32>> {
    let mut values = room(array.length())?;
    values.resize(array.length() as usize, 0.0);
    array.copy_to(&mut values);
    Ok(values)
}

/// Copies f64 values in.
pub(crate) fn doubles(array: &Float64Array) -> Result<Vec<f64>> {
    let mut values = room(array.length())?;
    values.resize(array.length() as usize, 0.0);
    array.copy_to(&mut values);
    Ok(values)
}

/// Copies f64 values out.
pub(crate) fn doubles_out(values: Option<Vec<f64>>) -> Float64Array {
    Float64Array::from(&*values.unwrap_or_default())
}

/// Copies u32 values in.
pub(crate) fn words(array: &Uint32Array) -> Result<Vec<u32>> {
    let mut values = room(array.length())?;
    values.resize(array.length() as usize, 0);
    array.copy_to(&mut values);
    Ok(values)
}

/// Copies bytes in.
pub(crate) fn bytes(array: &Uint8Array) -> Result<Vec<u8>> {
    let mut values = room(array.length())?;
    values.resize(array.length() as usize, 0);
    array.copy_to(&mut values);
    Ok(values)
}

/// Copies a shape in.
pub(crate) fn sides(array: &Uint32Array) -> Result<Vec<usize>> {
    Ok(words(array)?.into_iter().map(|side| side as usize).collect())
}
