//! Models of any size, made as they are read: see `chord_testkit::synthetic`.
//!
//! ```text
//! synthetic-gguf write MIB TYPE FILE        writes a model of at least MIB mebibytes
//! synthetic-gguf size MIB TYPE              prints its bytes
//! synthetic-gguf read MIB TYPE START END    writes its bytes START..END to the standard output
//! ```
//! TYPE is F16, Q4_0 or Q8_0.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use chord_gguf::GgmlType;
use chord_testkit::{SyntheticModel, SyntheticShape};

/// Bytes made at a time.
const PIECE: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["write", mib, ty, path] => {
            let model = model(mib, ty)?;
            let mut out = BufWriter::new(File::create(path)?);
            copy(&model, 0..model.len(), &mut out)?;
            out.flush()?;
            println!("{} bytes in {path}", model.len());
        }
        ["size", mib, ty] => println!("{}", model(mib, ty)?.len()),
        ["read", mib, ty, start, end] => {
            let model = model(mib, ty)?;
            let range = start.parse()?..end.parse()?;
            if range.start > range.end || range.end > model.len() {
                return Err(format!("{range:?} is not in a file of {} bytes", model.len()).into());
            }
            copy(&model, range, &mut io::stdout().lock())?;
        }
        _ => return Err("usage: synthetic-gguf write MIB TYPE FILE | size MIB TYPE | read MIB TYPE START END".into()),
    }
    Ok(())
}

fn model(mib: &str, ty: &str) -> Result<SyntheticModel, &'static str> {
    let mib = mib.parse::<u64>().ok().filter(|mib| (1..1 << 20).contains(mib));
    let ty = ty.parse().ok().filter(|ty| [GgmlType::F16, GgmlType::Q4_0, GgmlType::Q8_0].contains(ty));
    let (Some(mib), Some(ty)) = (mib, ty) else { return Err("MIB must be a number and TYPE one of F16, Q4_0, Q8_0") };
    Ok(SyntheticModel::new(SyntheticShape::of_at_least(mib << 20, ty)))
}

fn copy(model: &SyntheticModel, range: Range<u64>, out: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE as usize];
    let mut at = range.start;
    while at < range.end {
        let n = PIECE.min(range.end - at) as usize;
        model.read(at, &mut piece[..n]);
        out.write_all(&piece[..n])?;
        at += n as u64;
    }
    Ok(())
}
