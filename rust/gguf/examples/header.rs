//! Reads the header of a file in pieces of 1 MiB and lists what it says: `cargo run -p chord-gguf --example header FILE`.

use std::error::Error;
use std::fs::File;
use std::io::Read;

use chord_gguf::{HeaderReader, Status, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: header FILE")?;
    let mut file = File::open(path)?;
    let mut reader = HeaderReader::new(file.metadata()?.len());
    let mut piece = vec![0; 1 << 20];
    let header = loop {
        let n = file.read(&mut piece)?;
        match reader.feed(&piece[..n])? {
            Status::NeedMore => {}
            Status::Done(header) => break header,
        }
    };
    println!("version {}, alignment {}, data from byte {}", header.version, header.alignment, header.data_offset);
    for (key, value) in header.metadata.iter() {
        match value {
            Value::Array(array) => println!("{key}: {} of {}", array.type_name(), array.len()),
            scalar => println!("{key}: {scalar:?}"),
        }
    }
    for tensor in &header.tensors {
        println!("{} {:?} {}: {} bytes at {}", tensor.name, tensor.dims, tensor.ty, tensor.n_bytes, tensor.offset);
    }
    Ok(())
}
