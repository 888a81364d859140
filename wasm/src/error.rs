//! Errors of the library as JavaScript errors.

use wasm_bindgen::JsValue;
use weft::Error;

/// What an exported function answers.
pub(crate) type Result<T> = std::result::Result<T, JsValue>;

/// A JavaScript `Error` whose `name` is that of a class in `js/errors.ts`.
pub(crate) fn to_js(error: Error) -> JsValue {
    let js = js_sys::Error::new(&error.to_string());
    js.set_name(name(&error));
    js.into()
}

fn name(error: &Error) -> &'static str {
    match error {
        Error::NoAdapter { .. } | Error::NoDevice { .. } => "GpuUnavailableError",
        Error::MissingFeature { .. } => "MissingFeatureError",
        Error::LimitExceeded { .. } => "LimitExceededError",
        Error::Shape { .. } => "ShapeError",
        Error::Length { .. } => "LengthError",
        Error::Label { .. } => "LabelError",
        Error::Value { .. } => "ValueError",
        Error::OtherContext { .. } => "OtherContextError",
        Error::Weights { .. } => "WeightsError",
        Error::OutOfMemory { .. } => "OutOfMemoryError",
        Error::DeviceLost { .. } => "DeviceLostError",
        Error::Cancelled => "AbortError",
        // Also what a later version of the library adds: a mistake of a driver or of this package.
        _ => "GpuError",
    }
}
