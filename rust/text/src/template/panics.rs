//! A panic of the template engine becomes an error of the template, and the program continues.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::TextError;

/// Runs the function it is given; the error is the message of a panic in it.
pub type PanicGuard = fn(&mut dyn FnMut()) -> Result<(), String>;

static GUARD: OnceLock<PanicGuard> = OnceLock::new();

/// Sets what catches the panics of templates in the whole program. Later calls do nothing. It is needed where panics
/// abort, as they do in WebAssembly; without it they are caught by unwinding.
pub fn set_panic_guard(guard: PanicGuard) {
    let _ = GUARD.set(guard);
}

/// Turns a panic, which would be a bug in the template engine, into an error.
pub(super) fn caught<T>(inner: impl FnOnce() -> Result<T, TextError>) -> Result<T, TextError> {
    let mut inner = Some(inner);
    let mut result = None;
    // State that a panic leaves half done is dropped with it or never used again: runs share nothing.
    let mut run = || result = inner.take().map(|inner| inner());
    let ended = GUARD.get().unwrap_or(&(unwinding as PanicGuard))(&mut run);
    match (ended, result) {
        (Ok(()), Some(result)) => result,
        (ended, _) => {
            let words = ended.err().unwrap_or_default();
            let detail = format!("the template engine failed ({words}); please report this");
            Err(TextError::Template { line: None, detail })
        }
    }
}

fn unwinding(run: &mut dyn FnMut()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| panic_words(&*panic).to_owned())
}

/// The message of a panic.
pub fn panic_words(payload: &(dyn Any + Send)) -> &str {
    let words = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    words.unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_the_template() {
        let failed: Result<(), _> = caught(|| panic!("index {} is out of bounds", 7));
        let error = failed.unwrap_err();
        assert_eq!(error.code(), "template-error");
        assert!(error.to_string().contains("index 7 is out of bounds"), "{error}");
    }
}
