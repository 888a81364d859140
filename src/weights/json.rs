//! The header's JSON, by the parser that the platform has: serde_json on native, the browser's own on
//! wasm, where a second one would be a third of the module.

use super::header::Entry;

/// Every entry of the header, in no order. A part that is missing or of the wrong type leaves offsets
/// that no file can have, and is told with the tensor's name.
#[cfg(not(target_family = "wasm"))]
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, String> {
    use serde_json::{Map, Value};
    let header: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let numbers = |value: &Value| -> Option<Vec<usize>> { value.as_array()?.iter().map(|n| n.as_u64()?.try_into().ok()).collect() };
    let known = header.into_iter().filter(|(name, _)| name != METADATA);
    Ok(known
        .map(|(name, value)| {
            let dtype = value["dtype"].as_str().map(str::to_owned);
            Entry::new(name, dtype, numbers(&value["shape"]), numbers(&value["data_offsets"]))
        })
        .collect())
}

/// Every entry of the header, in no order. A part that is missing or of the wrong type leaves offsets
/// that no file can have, and is told with the tensor's name.
#[cfg(target_family = "wasm")]
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, String> {
    use js_sys::{Array, JSON, Object, Reflect};
    use wasm_bindgen::{JsCast, JsValue};
    // An array is an object to JavaScript, but no header.
    let header =
        JSON::parse(text).ok().filter(|value| value.is_object() && !Array::is_array(value)).ok_or("its header is no JSON object")?;
    let part = |value: &JsValue, key: &str| Reflect::get(value, &JsValue::from_str(key)).ok();
    let number = |value: JsValue| value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as usize);
    let numbers = |value: JsValue| -> Option<Vec<usize>> { value.dyn_into::<Array>().ok()?.iter().map(number).collect() };
    let pairs = Object::entries(header.unchecked_ref()).into_iter().map(|pair| Array::from(&pair));
    Ok(pairs
        .filter_map(|pair| Some((pair.get(0).as_string()?, pair.get(1))))
        .filter(|(name, _)| name != METADATA)
        .map(|(name, value)| {
            let dtype = part(&value, "dtype").and_then(|dtype| dtype.as_string());
            let [shape, offsets] = ["shape", "data_offsets"].map(|key| part(&value, key).and_then(numbers));
            Entry::new(name, dtype, shape, offsets)
        })
        .collect())
}

/// The one entry that is no tensor.
const METADATA: &str = "__metadata__";
