//! Panics. They end in a trap that no promise of the module's ever sees, so the host is told before; those of templates
//! are caught.

use std::cell::RefCell;

use chord_text::{panic_words, set_panic_guard};
use js_sys::{Error, Function};
use wasm_bindgen::closure::ScopedClosure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

thread_local! {
    static CALLBACK: RefCell<Option<Function>> = const { RefCell::new(None) };
    /// The message of a caught panic; exists only while a call is guarded.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// `callback(message)` hears of every panic that is not caught, with its place. The module must not be used after it.
#[wasm_bindgen]
pub fn on_panic(callback: Function) {
    CALLBACK.with(|slot| slot.replace(Some(callback)));
    std::panic::set_hook(Box::new(|info| {
        let said = panic_words(info.payload()).to_owned();
        if CAUGHT.with_borrow_mut(|caught| caught.as_mut().map(|slot| *slot = said).is_some()) {
            return;
        }
        CALLBACK.with(|slot| {
            if let Some(callback) = slot.borrow().as_ref() {
                // Nothing can be done for a host that throws here.
                let _ = callback.call1(&JsValue::UNDEFINED, &JsValue::from_str(&info.to_string()));
            }
        });
    }));
    set_panic_guard(guarded);
}

/// Runs `run` under JavaScript, which catches the trap that a panic ends in. The frames in between are abandoned: what
/// they own is never freed. The frame that called this restores the stack pointer when it returns.
fn guarded(run: &mut dyn FnMut()) -> Result<(), String> {
    CAUGHT.replace(Some(String::new()));
    let mut run = || run();
    let function = ScopedClosure::<dyn FnMut()>::borrow_mut_aborting(&mut run);
    let ended = function.as_js_value().unchecked_ref::<Function>().call0(&JsValue::UNDEFINED);
    let said = CAUGHT.take().unwrap_or_default();
    ended.map(drop).map_err(|trap| match trap.dyn_ref::<Error>() {
        // A trap without a panic, such as a stack that is full, says something itself.
        Some(trap) if said.is_empty() => trap.message().into(),
        _ => said,
    })
}
