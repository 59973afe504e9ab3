//! Golden recipes: small random models that are made from a short description, the same bytes on every machine. The
//! repository keeps what llama.cpp computes for them (`tests/golden/recipes`), not the models.
//!
//! [`recipes`] lists them: one of each architecture, `llama` in every storage type, and models that stretch their
//! rotation. `scripts/golden/recipes.py` writes the results.

mod decoder;
mod rope;
mod tensor;

use std::path::PathBuf;

use chord_gguf::writer::ALIGNMENT;
use chord_gguf::{FileBuilder, GgmlType, Value, read_header};

use crate::{GgufFile, Golden, Trace, repo_dir};
pub(crate) use decoder::{ARCHITECTURES, Decoder, N_LAYER};
pub(crate) use tensor::{Random, TensorRecipe};

/// A model, and how the reference runs it.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name, which begins with the architecture's.
    pub name: String,
    /// `general.architecture`.
    pub architecture: &'static str,
    /// Storage type of its matrices.
    pub ty: GgmlType,
    /// Metadata, by keys without the architecture.
    metadata: Vec<(String, Value)>,
    tensors: Vec<TensorRecipe>,
    /// Ends of YaRN's ramp in the reference, whatever the file says: rotations of the fast and the slow end.
    pub betas: Option<(f32, f32)>,
    /// The recipe that has the same results, if the difference in their metadata means nothing.
    pub same_as: Option<&'static str>,
}

/// Every recipe.
pub fn recipes() -> Vec<Recipe> {
    [architecture_recipes(), type_recipes(), rope_recipes()].concat()
}

/// One model of each architecture and of its variants, with F32 weights. Their goldens have traces.
pub fn architecture_recipes() -> Vec<Recipe> {
    let mut recipes: Vec<_> = ARCHITECTURES.iter().map(|name| Decoder::small(name).recipe(name.to_string())).collect();
    for recipe in recipes.iter_mut().filter(|recipe| recipe.architecture == "gemma3") {
        // Layers without a window have their own base for the rotation.
        recipe.metadata.push(("rope.freq_base".to_owned(), Value::F32(300.0)));
    }
    let llama = || Decoder::small("llama");
    recipes.push(llama().ungrouped().recipe("llama-mha".to_owned()));
    recipes.push(llama().tied().with_factors().recipe("llama-tied".to_owned()));
    recipes
}

/// `llama` with its matrices in each storage type that decodes, except F32, and every other architecture in Q4_K.
pub fn type_recipes() -> Vec<Recipe> {
    let types = GgmlType::decodable().filter(|ty| *ty != GgmlType::F32);
    let llamas = types.map(|ty| ("llama", ty));
    let others = ARCHITECTURES.iter().filter(|name| **name != "llama").map(|name| (*name, GgmlType::Q4_K));
    llamas.chain(others).map(|(name, ty)| Decoder::of_blocks(name, ty).recipe(format!("{name}.{ty}"))).collect()
}

/// Models that differ in how they stretch their rotation, with F32 weights.
pub fn rope_recipes() -> Vec<Recipe> {
    rope::recipes()
}

impl Recipe {
    /// The recipe of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> Self {
        recipes().into_iter().find(|recipe| recipe.name == name).unwrap_or_else(|| panic!("no recipe {name}"))
    }

    /// What the reference computes for it.
    ///
    /// # Panics
    /// If the files are not there: they belong to the repository.
    pub fn golden(&self) -> Golden {
        Golden::load(&recipe_golden_dir().join(format!("{}.json", self.same_as.unwrap_or(&self.name))))
    }

    /// The reference's activations.
    ///
    /// # Panics
    /// If it has none; [`architecture_recipes`] have.
    pub fn trace(&self) -> Trace {
        Trace::load(&recipe_golden_dir().join(format!("{}.trace.gguf", self.name)))
    }

    /// The file, in memory.
    pub fn file(&self) -> GgufFile {
        let bytes = self.bytes();
        let header = read_header(&bytes).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        GgufFile { header, bytes }
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let text = |value: &str| Value::String(value.to_owned());
        let mut metadata = vec![
            ("general.architecture".to_owned(), text(self.architecture)),
            ("tokenizer.ggml.model".to_owned(), text("none")),
        ];
        metadata
            .extend(self.metadata.iter().map(|(key, value)| (format!("{}.{key}", self.architecture), value.clone())));
        let tensors = self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice(), tensor.ty));
        let (mut file, _) = FileBuilder::header(metadata.iter().map(|(key, value)| (key.as_str(), value)), tensors);
        for tensor in &self.tensors {
            file.pad(ALIGNMENT as usize).raw(&tensor.bytes());
        }
        file.bytes
    }
}

/// The folder of the results.
pub fn recipe_golden_dir() -> PathBuf {
    repo_dir().join("tests/golden/recipes")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_not_used_twice() {
        let recipes = recipes();
        let names: BTreeSet<_> = recipes.iter().map(|recipe| &recipe.name).collect();
        assert_eq!(names.len(), recipes.len());
    }

    #[test]
    fn every_file_is_valid_and_has_a_golden() {
        for recipe in recipes() {
            let (file, golden) = (recipe.file(), recipe.golden());
            assert_eq!(file.header.architecture(), Some(recipe.architecture), "{}", recipe.name);
            assert_eq!(golden.tokens.len(), 48, "{}", recipe.name);
        }
    }

    #[test]
    fn results_that_belong_to_no_recipe_are_not_kept() {
        let recipes = recipes();
        for entry in std::fs::read_dir(recipe_golden_dir()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_of = |recipe: &Recipe| {
                [".json", ".logits.f32", ".trace.gguf"].iter().any(|end| name.strip_suffix(end) == Some(&recipe.name))
            };
            assert!(recipes.iter().any(|recipe| recipe.same_as.is_none() && is_of(recipe)), "{name}");
        }
    }
}
