//! Writes the inputs that fuzzing begins with: `seeds DIR` makes a folder for each target. They come from the hand-made
//! files of the tests, so that no copies are kept here.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use chord_gguf::read_header;
use chord_testkit::hostile::{accepts, rejects};
use chord_testkit::{TinyModel, odd_models, recipes, repo_dir};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: seeds DIR")?);
    let counts = [
        ("header", write(&dir.join("header"), headers())?),
        ("structured", write(&dir.join("structured"), noise())?),
        ("template", write(&dir.join("template"), templates()?)?),
        ("tokens", write(&dir.join("tokens"), [noise(), texts()].concat())?),
    ];
    println!("{}", counts.map(|(target, n)| format!("{target}: {n}")).join(", "));
    Ok(())
}

fn write(dir: &Path, inputs: Vec<Vec<u8>>) -> Result<usize, Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    for (at, input) in inputs.iter().enumerate() {
        fs::write(dir.join(format!("seed-{at:03}")), input)?;
    }
    Ok(inputs.len())
}

/// The headers of all models and files of the tests, after the byte that says how they are cut.
fn headers() -> Vec<Vec<u8>> {
    let models = TinyModel::of_each_architecture().into_iter().map(|model| model.file());
    let odd = odd_models().into_iter().map(|odd| odd.model.file());
    let recipes = recipes().into_iter().map(|recipe| recipe.bytes());
    let hostile = rejects().into_iter().map(|file| file.bytes).chain(accepts().into_iter().map(|file| file.bytes));
    let files = models.chain(odd).chain(recipes).chain(hostile);
    let headers = files.map(|file| {
        let end =
            read_header(&file).map_or(file.len().min(4096), |header| (header.data_offset as usize).min(file.len()));
        [&[255], &file[..end]].concat()
    });
    headers.collect()
}

fn templates() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let tests = repo_dir().join("rust/text/tests");
    let mut seeds = Vec::new();
    for folder in ["templates", "suite/templates"] {
        for entry in fs::read_dir(tests.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "jinja") {
                let source = fs::read(&path)?;
                seeds.extend([0, 3, 255].map(|choice: u8| [&[choice], source.as_slice()].concat()));
            }
        }
    }
    let expressions = fs::read_to_string(tests.join("suite/expressions.txt"))?;
    seeds.extend(expressions.lines().map(|source| format!("\0{source}").into_bytes()));
    Ok(seeds)
}

fn texts() -> Vec<Vec<u8>> {
    let texts = ["hello world", "<|im_end|></s><tool>", "a\u{2581}b  c\n\n1234", "ä€😀\u{300}", "'s 'LL\r\n\t"];
    let each = texts.iter().flat_map(|text| (0..8u8).map(move |at| (*text, at)));
    // `Choice::Known`, its number, the text and its length, as `Arbitrary` reads them from both ends.
    each.map(|(text, at)| [&[0, 0, 0, 0, at], text.as_bytes(), &[0, text.len() as u8]].concat()).collect()
}

/// Bytes of a generator (SplitMix64): every choice of the targets that read numbers from their input.
fn noise() -> Vec<Vec<u8>> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) as u8
    };
    (0..48usize).map(|at| (0..16 + 8 * at).map(|_| next()).collect()).collect()
}
