//! What the engine asks of JavaScript: bytes, time, and a pause.

use std::cell::RefCell;
use std::rc::Rc;

use chord_engine::{ReadAt, ReadError};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::WorkerGlobalScope;

#[wasm_bindgen(typescript_custom_section)]
const HOST_TYPE: &str = r#"
/** What the engine asks of its host. */
export interface Host {
  /** Bytes of the model, valid until the next read. */
  read(offset: bigint, length: number): Promise<Uint8Array>;
  /** Resolves in a later task, so that messages get through. */
  pause(): Promise<void>;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// What the engine asks of its host.
    #[wasm_bindgen(typescript_type = "Host")]
    #[derive(Clone, Debug)]
    pub type Host;

    #[wasm_bindgen(method, catch)]
    async fn read(this: &Host, offset: u64, length: u32) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = pause)]
    async fn pause_js(this: &Host) -> Result<JsValue, JsValue>;
}

impl Host {
    /// Lets the host's other messages through. A host that fails to pause only gives up its messages.
    pub(crate) async fn pause(&self) {
        let _ = self.pause_js().await;
    }
}

/// Milliseconds since the worker began.
pub(crate) fn now_ms() -> f64 {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    scope.performance().map_or(0.0, |performance| performance.now())
}

/// The rejection of a read, kept so that it can be thrown again unchanged.
pub(crate) type Rejection = Rc<RefCell<Option<JsValue>>>;

/// A file that the host reads. Bytes are copied once, from the host's buffer to the engine's window.
pub(crate) struct HostFile {
    host: Host,
    len: u64,
    rejection: Rejection,
}

impl HostFile {
    /// A file of `len` bytes. `rejection` will hold what the host rejects a read with.
    pub(crate) fn new(host: Host, len: u64, rejection: Rejection) -> Self {
        HostFile { host, len, rejection }
    }
}

impl ReadAt for HostFile {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        let wanted = u32::try_from(buf.len()).map_err(|_| ReadError::io("a window of 4 GiB or more"))?;
        let answer = self.host.read(offset, wanted).await.map_err(|rejected| {
            let field = |name: &str| Reflect::get(&rejected, &name.into()).ok().and_then(|value| value.as_string());
            let error = ReadError {
                code: field("code").unwrap_or_else(|| "io".to_owned()).into(),
                message: field("message").unwrap_or_else(|| format!("{rejected:?}")),
            };
            self.rejection.replace(Some(rejected));
            error
        })?;
        match answer.dyn_ref::<Uint8Array>() {
            Some(bytes) if bytes.length() == wanted => {
                bytes.copy_to(buf);
                Ok(())
            }
            Some(bytes) => {
                Err(ReadError::io(format!("{wanted} bytes at {offset} wanted, the host gave {}", bytes.length())))
            }
            None => Err(ReadError::io("the host's read gave no Uint8Array")),
        }
    }
}
