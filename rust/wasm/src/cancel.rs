//! Stopping a running call.

use chord_engine::CancelFlag;
use wasm_bindgen::prelude::wasm_bindgen;

/// Stops a load or a generation at its next chunk or token. A separate object, because the engine is borrowed by the
/// call.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct CancelToken(CancelFlag);

#[wasm_bindgen]
impl CancelToken {
    /// A token for one call.
    #[wasm_bindgen(constructor)]
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Asks the call to stop.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl CancelToken {
    /// The flag, which outlives the token.
    pub(crate) fn flag(&self) -> CancelFlag {
        self.0.clone()
    }
}
