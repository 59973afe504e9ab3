//! Reading a file's header in growing pieces.

use chord_gguf::{Header, HeaderReader, Status};

use crate::{CancelFlag, EngineError, LoadProgress, LoadStage, ReadAt};

/// Bytes of the first read; each further one doubles, up to [`LARGEST_READ`].
const FIRST_READ: u64 = 256 << 10;
const LARGEST_READ: u64 = 8 << 20;

/// Reads and checks the header of a file. Works for every architecture.
pub async fn read_header(
    reader: &mut impl ReadAt,
    progress: &mut dyn FnMut(LoadProgress),
    cancel: &CancelFlag,
) -> Result<Header, EngineError> {
    let file_len = reader.len();
    let mut parser = HeaderReader::new(file_len);
    let mut next = FIRST_READ;
    let mut bytes = Vec::new();
    loop {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let position = parser.position();
        let n = next.min(file_len.saturating_sub(position));
        bytes.resize(n as usize, 0);
        reader.read_at(position, &mut bytes).await?;
        // With nothing left to read the parser sees the end of the file and says what is missing.
        let status = parser.feed(&bytes)?;
        progress(LoadProgress { stage: LoadStage::Header, loaded: parser.position(), total: file_len });
        match status {
            Status::Done(header) => return Ok(header),
            Status::NeedMore if n == 0 => {
                return Err(EngineError::Internal("the header reader asks for bytes beyond the file".into()));
            }
            Status::NeedMore => next = (next * 2).min(LARGEST_READ),
        }
    }
}
