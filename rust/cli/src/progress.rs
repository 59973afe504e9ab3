//! The bar on standard error while a model loads.

use std::time::Duration;

use chord_engine::{LoadProgress, LoadStage};
use indicatif::{ProgressBar, ProgressStyle};

/// Hidden if standard error is not a terminal; removed when dropped.
pub(crate) struct LoadBar(ProgressBar);

impl LoadBar {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = ProgressBar::no_length();
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        LoadBar(bar)
    }

    pub(crate) fn show(&self, progress: LoadProgress) {
        let message = match progress.stage {
            LoadStage::Header => "reading the header",
            LoadStage::Prepare => "preparing",
            LoadStage::Weights => "loading weights",
            _ => "ready",
        };
        self.0.set_message(message);
        if progress.stage == LoadStage::Weights {
            self.0.set_length(progress.total);
            self.0.set_position(progress.loaded);
        }
    }
}

impl Drop for LoadBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
