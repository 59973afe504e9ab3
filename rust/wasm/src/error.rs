//! Errors as JavaScript objects.

use chord_engine::EngineError;
use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::JsValue;

use crate::host::Rejection;

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: &'a str,
    message: String,
}

/// `{ code, message, details }`, with large numbers as `bigint`.
pub(crate) fn to_js(error: &EngineError) -> JsValue {
    let object = ErrorObject { code: error.code(), message: error.to_string() };
    let serializer = Serializer::json_compatible().serialize_large_number_types_as_bigints(true);
    object.serialize(&serializer).unwrap_or_else(|_| JsValue::from_str(&object.message))
}

/// As [`to_js`], but what the host itself rejected a read with goes back to it as it was.
pub(crate) fn load_error(error: &EngineError, rejection: &Rejection) -> JsValue {
    match error {
        EngineError::Read(_) => rejection.take().unwrap_or_else(|| to_js(error)),
        _ => to_js(error),
    }
}

/// An argument that is not of the shape it should be.
pub(crate) fn bad_argument(error: serde_wasm_bindgen::Error) -> JsValue {
    to_js(&EngineError::BadRequest(error.to_string()))
}
