//! One file per subcommand.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod inspect;
pub(crate) mod logits;
pub(crate) mod render;
pub(crate) mod run;
pub(crate) mod tokenize;
pub(crate) mod trace;
