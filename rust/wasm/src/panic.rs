//! A panic ends the module with a trap that no promise sees: the host is told before.

use std::cell::RefCell;

use js_sys::Function;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    static CALLBACK: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// `callback(message)` hears of every panic, with its place. The module must not be used after it.
#[wasm_bindgen]
pub fn on_panic(callback: Function) {
    CALLBACK.with(|slot| slot.replace(Some(callback)));
    std::panic::set_hook(Box::new(|info| {
        CALLBACK.with(|slot| {
            if let Some(callback) = slot.borrow().as_ref() {
                // Nothing can be done for a host that throws here.
                let _ = callback.call1(&JsValue::UNDEFINED, &JsValue::from_str(&info.to_string()));
            }
        });
    }));
}
