//! Errors as JavaScript objects.

use chord_engine::EngineError;
use js_sys::{Object, Reflect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::JsValue;

use crate::host::Rejection;

/// `{ code, message, details }`. The details are the error's fields, by name; large integers are `bigint`.
pub(crate) fn to_js(error: &EngineError) -> JsValue {
    let message = JsValue::from_str(&error.to_string());
    let serializer = Serializer::json_compatible().serialize_large_number_types_as_bigints(true);
    // Errors that say all in their message have no fields.
    let details = error.serialize(&serializer).ok().filter(JsValue::is_object).unwrap_or_else(|| Object::new().into());
    let object = Object::new();
    for (key, value) in [("code", JsValue::from_str(error.code())), ("message", message), ("details", details)] {
        // Setting a property of a fresh plain object cannot fail.
        let _ = Reflect::set(&object, &key.into(), &value);
    }
    object.into()
}

/// As [`to_js`], but the host's own rejection of a read is returned to it unchanged.
pub(crate) fn load_error(error: &EngineError, rejection: &Rejection) -> JsValue {
    match error {
        EngineError::Read(_) => rejection.take().unwrap_or_else(|| to_js(error)),
        _ => to_js(error),
    }
}

/// Reads an argument. One that is not of the shape it should be is an error that names it.
pub(crate) fn from_js<T: DeserializeOwned>(value: JsValue, field: &'static str) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value)
        .map_err(|error| to_js(&EngineError::InvalidArgument { field, message: error.to_string() }))
}
