//! The verdict from a model's header, before anything else of it is read.

use std::rc::Rc;

use chord_engine::{DeviceFacts, LoadOptions};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::CancelToken;
use crate::engine::to_object;
use crate::error::{from_js, load_error};
use crate::host::{Host, HostFile, Rejection};

/// Reads the header of the model of `size` bytes that `host` reads, and nothing else of it: its `Inspection` for a
/// device with these `DeviceFacts`.
#[wasm_bindgen]
pub async fn inspect(
    host: Host,
    size: u64,
    options: JsValue,
    device: JsValue,
    cancel: &CancelToken,
) -> Result<JsValue, JsValue> {
    let options: LoadOptions = from_js(options, "options")?;
    let device: DeviceFacts = from_js(device, "device")?;
    let flag = cancel.flag();
    let rejection = Rejection::default();
    let mut file = HostFile::new(host, size, Rc::clone(&rejection));
    let inspection = chord_engine::inspect(&mut file, &options, &device, &flag).await;
    inspection.map_err(|error| load_error(&error, &rejection)).and_then(|inspection| to_object(&inspection))
}
