//! Reads the layers that the device does not hold from the file, again for every pass and one layer ahead.

use std::future::{Future, poll_fn};
use std::pin::Pin;

use chord_program::{PagePlan, Paged, Program};

use crate::clock::Clock;
use crate::weights::{Placed, Windows, resize};
use crate::{CancelFlag, EngineError, ReadAt, ReadError};

/// A [`ReadAt`] that can be a trait object.
trait PageFile {
    fn read<'a>(
        &'a mut self,
        offset: u64,
        buf: &'a mut [u8],
    ) -> Pin<Box<dyn Future<Output = Result<(), ReadError>> + 'a>>;
}

impl<R: ReadAt> PageFile for R {
    fn read<'a>(
        &'a mut self,
        offset: u64,
        buf: &'a mut [u8],
    ) -> Pin<Box<dyn Future<Output = Result<(), ReadError>> + 'a>> {
        Box::pin(self.read_at(offset, buf))
    }
}

/// The cost of paging since the load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PageCost {
    /// Bytes of weights read.
    pub(crate) bytes_read: u64,
    /// Milliseconds in which the device had nothing to do because a page was not there. If the device becomes idle
    /// while a window is read, the time counts from the beginning of that window.
    pub(crate) stall_ms: f64,
}

/// Reads the pages of an executor from the file.
pub(crate) struct Pager {
    file: Box<dyn PageFile>,
    /// The weights of each paged segment, in the order of the file.
    pages: Vec<(usize, Vec<Placed>)>,
    window_bytes: u64,
    /// Reused for every window.
    buffer: Vec<u8>,
    cost: PageCost,
}

impl Pager {
    /// Reads the pages of `plan` from `file`, in which `placed` locates the program's weights.
    pub(crate) fn new(
        file: impl ReadAt + 'static,
        program: &Program,
        plan: &PagePlan,
        placed: &[Placed],
        window_bytes: u64,
    ) -> Self {
        let own = program.layer_weights();
        let page = |segment: &usize| {
            let weights = placed.iter().filter(|placed| own[*segment].contains(&placed.id));
            (*segment, weights.copied().collect())
        };
        let pages = plan.segments.iter().map(page).collect();
        Pager { file: Box::new(file), pages, window_bytes, buffer: Vec::new(), cost: PageCost::default() }
    }

    /// The cost of paging so far.
    pub(crate) fn cost(&self) -> PageCost {
        self.cost
    }

    /// Brings pages until everything enqueued is submitted, and one more for the work after it. False once `cancel` is
    /// raised while work still waits.
    pub(crate) async fn feed(
        &mut self,
        executor: &mut dyn Paged,
        clock: Clock,
        cancel: &CancelFlag,
    ) -> Result<bool, EngineError> {
        loop {
            let is_done = executor.advance()?;
            if !is_done && cancel.is_cancelled() {
                return Ok(false);
            }
            match poll_fn(|cx| executor.poll_page(cx)).await? {
                Some(segment) => self.bring(segment, executor, clock).await?,
                None if is_done => return Ok(true),
                None => return Err(EngineError::Internal("work waits for a page that is there".into())),
            }
            if is_done {
                return Ok(true);
            }
        }
    }

    async fn bring(&mut self, segment: usize, executor: &mut dyn Paged, clock: Clock) -> Result<(), EngineError> {
        let Pager { file, pages, window_bytes, buffer, cost } = self;
        let Some((_, placed)) = pages.iter().find(|(page, _)| *page == segment) else {
            return Err(EngineError::Internal(format!("segment {segment} is asked for and is not paged")));
        };
        let mut busy_until = clock();
        let mut idle_since = executor.is_idle().then_some(busy_until);
        for window in Windows::new(placed, *window_bytes) {
            resize(buffer, window.n_bytes)?;
            file.read(window.offset, buffer).await?;
            for part in &window.parts {
                executor.write(part.id, part.offset, part.of(buffer))?;
                cost.bytes_read += part.n_bytes;
            }
            if idle_since.is_none() && executor.is_idle() {
                idle_since = Some(busy_until);
            }
            busy_until = clock();
        }
        cost.stall_ms += idle_since.map_or(0.0, |since| clock() - since);
        Ok(())
    }
}
