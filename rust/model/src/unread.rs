//! Tensors that a program does not read. A few kinds cannot change an answer and are ignored; with any other the file
//! is refused, because a model computed without some of its weights gives wrong answers, and nothing shows it.

use chord_gguf::Header;

use crate::keys::Keys;
use crate::{Hyperparameters, ModelError};

/// Name prefixes of the tensors of vision and audio encoders and of their projections: text alone never reaches them.
const OTHER_SENSES: [&str; 5] = ["v.", "a.", "mm.", "mmproj.", "resampler."];
/// Scales for rounding the inputs of a product. Products here find their own scales from the values.
const INPUT_SCALE: &str = ".input_scale";

/// Names of the tensors that are ignored because they cannot change an answer, in the order of the file: scales of
/// rounded inputs, layers and heads that predict further tokens, and parts for images and sound. Empty for a file
/// whose layers cannot be counted.
pub fn ignored_tensors(header: &Header) -> Vec<&str> {
    let layers = Keys::new(header).and_then(|keys| keys.layers()).ok();
    let names = header.tensors.iter().map(|tensor| tensor.name.as_str());
    names.filter(|name| layers.is_some_and(|layers| is_ignored(name, layers))).collect()
}

/// Whether the tensor cannot change an answer in a model with `n_layer` layers for the answer, of `n_block` in all.
fn is_ignored(name: &str, (n_layer, n_block): (u32, u32)) -> bool {
    let layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    let looks_ahead = match layer.and_then(|(layer, rest)| Some((layer.parse::<u32>().ok()?, rest))) {
        Some((layer, rest)) => (n_layer..n_block).contains(&layer) || rest.starts_with("nextn."),
        None => false,
    };
    looks_ahead || name.ends_with(INPUT_SCALE) || OTHER_SENSES.iter().any(|prefix| name.starts_with(prefix))
}

/// Refuses tensors that are neither read nor ignored.
pub(crate) fn refuse(
    header: &Header,
    hyper: &Hyperparameters,
    is_read: impl Fn(&str) -> bool,
) -> Result<(), ModelError> {
    let layers = (hyper.n_layer, hyper.n_block);
    let mut unread = header.tensors.iter().filter(|t| !is_read(&t.name) && !is_ignored(&t.name, layers));
    match unread.next() {
        None => Ok(()),
        Some(tensor) => Err(ModelError::UnreadTensor {
            tensor: tensor.name.clone(),
            others: unread.count(),
            architecture: hyper.architecture.clone(),
        }),
    }
}
