//! One page for each architecture family.

mod gemma3;
mod llama;
mod olmo2;
mod olmoe;
mod qwen2;

use chord_gguf::Header;

use crate::ModelError;
use crate::keys::Keys;
use crate::lowering::Lowering;

/// Writes the ops of a model.
pub(crate) type Page = fn(&mut Lowering<'_>) -> Result<(), ModelError>;

const PAGES: [(&str, Page); 5] = [
    ("llama", llama::lower),
    ("gemma3", gemma3::lower),
    ("qwen2", qwen2::lower),
    ("olmo2", olmo2::lower),
    ("olmoe", olmoe::lower),
];

/// Every `general.architecture` whose models can be lowered.
pub fn architectures() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(name, _)| *name)
}

/// Whether models of this `general.architecture` can be lowered.
pub fn is_supported(architecture: &str) -> bool {
    PAGES.iter().any(|(name, _)| *name == architecture)
}

/// Whether files of the architecture may have a divisor for each frequency of the rotation. Of the architectures here,
/// llama.cpp reads them for this one only.
pub(crate) fn has_rope_factors(architecture: &str) -> bool {
    architecture == "llama"
}

/// Whether there is a page for a header's architecture.
///
/// # Errors
/// [`ModelError::UnsupportedArchitecture`], or [`ModelError::MissingKey`] where the header names none.
pub fn check_architecture(header: &Header) -> Result<(), ModelError> {
    page(header).map(|_| ())
}

/// The page for a header's architecture.
pub(crate) fn page(header: &Header) -> Result<Page, ModelError> {
    let architecture = Keys::architecture_of(header)?;
    PAGES.iter().find(|(name, _)| *name == architecture).map(|(_, page)| *page).ok_or_else(|| {
        ModelError::UnsupportedArchitecture {
            architecture: architecture.to_owned(),
            supported: PAGES.map(|(name, _)| name).join(", "),
        }
    })
}
