//! Ctrl-C: the first one stops the current work, whose results are kept and counted; a second one, or one while nothing
//! runs, ends the command.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use chord_engine::CancelFlag;

use crate::INTERRUPTED;

static FLAG: OnceLock<CancelFlag> = OnceLock::new();
static BUSY: AtomicBool = AtomicBool::new(false);

/// Starts listening.
pub(crate) fn listen() {
    let flag = FLAG.get_or_init(CancelFlag::new).clone();
    let handler = move || {
        if !BUSY.load(Ordering::Relaxed) || flag.is_cancelled() {
            std::process::exit(INTERRUPTED.into());
        }
        flag.cancel();
    };
    // Without a handler Ctrl-C still ends the command, only less gently.
    let _ = ctrlc::set_handler(handler);
}

/// Work that Ctrl-C stops instead of the command, for as long as this is held.
pub(crate) struct Busy(());

impl Busy {
    /// Begins such work, with its flag lowered.
    pub(crate) fn begin() -> (Busy, CancelFlag) {
        let flag = FLAG.get_or_init(CancelFlag::new).clone();
        flag.reset();
        BUSY.store(true, Ordering::Relaxed);
        (Busy(()), flag)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Relaxed);
    }
}
