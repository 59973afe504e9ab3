//! A model file, read by position: it is never held in memory as a whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use chord_engine::{CancelFlag, ReadAt, ReadError, read_header};
use chord_gguf::Header;

use crate::error::CliError;

/// An open file of known length.
pub(crate) struct ModelFile {
    file: File,
    len: u64,
    path: PathBuf,
}

impl ModelFile {
    /// Opens a file for reading.
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory, expected a GGUF file"));
            }
            Ok((file, metadata.len()))
        };
        let (file, len) = open().map_err(|source| CliError::file(path, source))?;
        Ok(ModelFile { file, len, path: path.to_owned() })
    }

    /// Opens a file and reads its header.
    pub(crate) async fn open_with_header(path: &Path) -> Result<(Self, Header), CliError> {
        let mut file = ModelFile::open(path)?;
        let header = read_header(&mut file, &mut |_| (), &CancelFlag::new()).await?;
        Ok((file, header))
    }
}

impl ReadAt for ModelFile {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        read_exact_at(&self.file, offset, buf).map_err(|error| {
            ReadError::io(format!("{}: {} bytes at {offset}: {error}", self.path.display(), buf.len()))
        })
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
