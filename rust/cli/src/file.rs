//! A model in one file, or in the parts that llama.cpp's `gguf-split` writes, read by position: it is never held in
//! memory as a whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use chord_engine::{CancelFlag, LoadProgress, ReadAt, ReadError, read_header};
use chord_gguf::Header;

use crate::error::CliError;

/// Digits of each number in the name of a part.
const DIGITS: usize = 5;

/// One open file of a model.
struct Part {
    file: File,
    path: PathBuf,
    len: u64,
}

impl Part {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory, expected a GGUF file"));
        }
        Ok(Part { file, path: path.to_owned(), len: metadata.len() })
    }
}

/// The open files of a model, read as if they were one file.
pub(crate) struct ModelFile {
    parts: Vec<Part>,
    len: u64,
}

impl ModelFile {
    /// Opens a file that is not part of a split model.
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        let part = Part::open(path).map_err(|source| CliError::file(path, source))?;
        Ok(ModelFile { len: part.len, parts: vec![part] })
    }

    /// Opens a model and reads its header. A split model is given by any of its parts, all in the same folder.
    pub(crate) async fn open_with_header(path: &Path) -> Result<(Self, Header), CliError> {
        ModelFile::open_showing(path, &mut |_| (), &CancelFlag::new()).await
    }

    /// The same with progress, until it is cancelled.
    pub(crate) async fn open_showing(
        path: &Path,
        progress: &mut dyn FnMut(LoadProgress),
        cancel: &CancelFlag,
    ) -> Result<(Self, Header), CliError> {
        let mut given = ModelFile::open(path)?;
        let header = read_header(&mut given, progress, cancel).await?;
        let name = PartName::of(path);
        let n_parts = header.n_parts();
        match (&name, n_parts) {
            (None, 1) => return Ok((given, header)),
            (Some(name), _) if n_parts == 1 && name.count == 1 => return Ok((given, header)),
            (Some(name), _) if u64::from(name.count) == n_parts => {}
            _ => return Err(CliError::SplitName { path: path.to_owned(), n_parts }),
        }
        let Some(name) = name else { return Err(CliError::SplitName { path: path.to_owned(), n_parts }) };
        let (mut parts, mut headers) = (Vec::new(), Vec::new());
        for no in 1..=name.count {
            let mut part = match no == name.no {
                true => ModelFile::open(path)?,
                false => ModelFile::open_part(&name, no)?,
            };
            headers.push(read_header(&mut part, progress, cancel).await?);
            parts.append(&mut part.parts);
        }
        let len = parts.iter().map(|part| part.len).sum();
        Ok((ModelFile { parts, len }, Header::join(headers)?))
    }

    fn open_part(name: &PartName, no: u32) -> Result<Self, CliError> {
        let path = name.path(no);
        match ModelFile::open(&path) {
            Err(CliError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(CliError::MissingPart { path, no, count: name.count })
            }
            opened => opened,
        }
    }
}

/// What the name of a part says: `directory/model-00001-of-00003.gguf`.
struct PartName {
    /// All before the number.
    start: String,
    no: u32,
    count: u32,
    directory: PathBuf,
}

impl PartName {
    fn of(path: &Path) -> Option<Self> {
        let (rest, count) = number_at_end(path.file_name()?.to_str()?.strip_suffix(".gguf")?)?;
        let (start, no) = number_at_end(rest.strip_suffix("-of-")?)?;
        let start = start.strip_suffix('-')?.to_owned();
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        (1..=count).contains(&no).then_some(PartName { start, no, count, directory })
    }

    fn path(&self, no: u32) -> PathBuf {
        self.directory.join(format!("{}-{no:0DIGITS$}-of-{:0DIGITS$}.gguf", self.start, self.count))
    }
}

/// The number in the last five places, and what is before it.
fn number_at_end(text: &str) -> Option<(&str, u32)> {
    let (rest, digits) = text.split_at_checked(text.len().checked_sub(DIGITS)?)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| Some((rest, digits.parse().ok()?)))?
}

impl ReadAt for ModelFile {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&mut self, offset: u64, mut buf: &mut [u8]) -> Result<(), ReadError> {
        let mut start = 0;
        for part in &self.parts {
            let end = start + part.len;
            let at = offset.max(start);
            if at < end && !buf.is_empty() {
                let n = usize::try_from(end - at).unwrap_or(usize::MAX).min(buf.len());
                let (piece, rest) = buf.split_at_mut(n);
                read_exact_at(&part.file, at - start, piece).map_err(|error| {
                    ReadError::io(format!("{}: {n} bytes at {}: {error}", part.path.display(), at - start))
                })?;
                buf = rest;
            }
            start = end;
        }
        match buf.len() {
            0 => Ok(()),
            n => Err(ReadError::io(format!("{n} bytes past the end of the model"))),
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
    while !buf.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, buf, offset)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (buf, offset) = (&mut buf[n..], offset + n as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_are_told_from_others() {
        let name = PartName::of(Path::new("models/a-b-00002-of-00013.gguf")).unwrap();
        assert_eq!((name.no, name.count), (2, 13));
        assert_eq!(name.path(7), Path::new("models/a-b-00007-of-00013.gguf"));
        for other in [
            "a.gguf",
            "a-00000-of-00002.gguf",
            "a-00003-of-00002.gguf",
            "a-0001-of-0002.gguf",
            "a-00001-of-00002.bin",
            "00001-of-00002.gguf",
            "é-of-00002.gguf",
            "a-+0001-of-00002.gguf",
        ] {
            assert!(PartName::of(Path::new(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn reads_cross_the_borders_of_parts() {
        let dir = std::env::temp_dir().join(format!("chord-parts-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let bytes: Vec<u8> = (0..100).collect();
        let mut parts = Vec::new();
        for (no, range) in [0..40, 40..40, 40..41, 41..100].into_iter().enumerate() {
            let path = dir.join(no.to_string());
            std::fs::write(&path, &bytes[range]).unwrap();
            parts.push(Part::open(&path).unwrap());
        }
        let mut file = ModelFile { parts, len: 100 };
        for (start, end) in [(0, 100), (0, 1), (39, 42), (40, 41), (41, 100), (99, 100), (50, 50)] {
            let mut found = vec![0; end - start];
            pollster::block_on(file.read_at(start as u64, &mut found)).unwrap();
            assert_eq!(found, bytes[start..end], "{start} to {end}");
        }
        assert!(pollster::block_on(file.read_at(90, &mut [0; 11])).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
