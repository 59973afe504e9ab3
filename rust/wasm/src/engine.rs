//! The engine, in JavaScript's types.

use std::rc::Rc;

use chord_engine::{Engine, EngineError, Event, LoadOptions, LoadProgress, RawRequest};
use chord_text::{EncodeOptions, Message};
use js_sys::{Float32Array, Function};
use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::{from_js, load_error, to_js};
use crate::host::{Host, HostFile, Rejection, now_ms};
use crate::{CancelToken, ThreadPool};

/// Weights pass through a window of this size. The module's memory never shrinks: what is gone after a load counts too.
const WINDOW_BYTES: u64 = 4 << 20;

/// A loaded model.
#[wasm_bindgen]
pub struct WasmEngine {
    engine: Engine,
    host: Host,
}

#[wasm_bindgen]
impl WasmEngine {
    /// Loads the model of `size` bytes that `host` reads. `on_progress` hears of each step. On the CPU the threads of
    /// `pool` compute; they must be complete.
    pub async fn load(
        host: Host,
        size: u64,
        options: JsValue,
        on_progress: Function,
        cancel: &CancelToken,
        pool: ThreadPool,
    ) -> Result<WasmEngine, JsValue> {
        let mut options: LoadOptions = from_js(options, "options")?;
        options.window_bytes = options.window_bytes.min(WINDOW_BYTES);
        let flag = cancel.flag();
        let rejection = Rejection::default();
        let file = HostFile::new(host.clone(), size, Rc::clone(&rejection));
        let mut progress = |progress: LoadProgress| notify(&on_progress, &progress);
        options.threads = Some(pool.n_threads());
        options.pool = pool.into_source();
        let engine = Engine::load(file, &options, now_ms, &mut progress, &flag)
            .await
            .map_err(|error| load_error(&error, &rejection))?;
        Ok(WasmEngine { engine, host })
    }

    /// Runs one generation to its end and gives its `GenerateResult`. `on_event` hears of tokens, text and the prompt.
    pub async fn generate(
        &mut self,
        request: JsValue,
        on_event: Function,
        cancel: &CancelToken,
    ) -> Result<JsValue, JsValue> {
        let request: RawRequest = from_js(request, "request")?;
        let request = request.check().map_err(|error| to_js(&error))?;
        let flag = cancel.flag();
        let mut events = |event: Event<'_>| notify(&on_event, &event);
        let host = self.host.clone();
        let mut pause = async || host.pause().await;
        let result = self.engine.generate(&request, &flag, &mut events, &mut pause).await;
        result.map_err(|error| to_js(&error)).and_then(|result| to_object(&result))
    }

    /// Token ids of a text.
    pub fn tokenize(&self, text: &str, options: JsValue) -> Result<Vec<u32>, JsValue> {
        let options: EncodeOptions = from_js(options, "options")?;
        Ok(self.engine.tokenizer().encode(text, options))
    }

    /// Token ids of a conversation in the model's chat format, ready for an answer, at the time `now` in seconds since
    /// 1970-01-01 00:00 by the user's clock.
    pub fn tokenize_chat(&self, messages: JsValue, now: f64) -> Result<Vec<u32>, JsValue> {
        let messages: Vec<Message> = from_js(messages, "messages")?;
        let prompt = chord_engine::Prompt::Messages(messages);
        self.engine.encode_prompt(&prompt, Some(now as i64)).map_err(|error| to_js(&error))
    }

    /// Logits of every position, `[tokens, n_vocab]` row by row. The rows leave the module's memory chunk by chunk.
    pub async fn logits(&mut self, tokens: Vec<u32>, cancel: &CancelToken) -> Result<Float32Array, JsValue> {
        let flag = cancel.flag();
        let n_vocab = self.engine.info().n_vocab;
        let n_values = u64::from(n_vocab) * tokens.len() as u64;
        let length = u32::try_from(n_values).map_err(|_| {
            let message = format!("{n_values} logits, at most {} at a time", u32::MAX);
            to_js(&EngineError::InvalidArgument { field: "tokens", message })
        })?;
        let all = Float32Array::new_with_length(length);
        let mut on_rows = |first: usize, rows: &[f32]| {
            let start = first as u32 * n_vocab;
            all.subarray(start, start + rows.len() as u32).copy_from(rows);
            Ok(())
        };
        let host = self.host.clone();
        let mut pause = async || host.pause().await;
        let done = self.engine.logits(&tokens, &flag, &mut on_rows, &mut pause).await;
        done.map(|()| all).map_err(|error| to_js(&error))
    }

    /// The `EngineInfo` as of now.
    pub fn info(&self) -> Result<JsValue, JsValue> {
        to_object(&self.engine.info())
    }
}

/// A plain object; integers are numbers, which hold them exactly up to 2^53.
pub(crate) fn to_object(value: &impl Serialize) -> Result<JsValue, JsValue> {
    value.serialize(&Serializer::json_compatible()).map_err(JsValue::from)
}

/// A host whose callback throws does not stop the engine.
fn notify(callback: &Function, value: &impl Serialize) {
    if let Ok(object) = to_object(value) {
        let _ = callback.call1(&JsValue::UNDEFINED, &object);
    }
}
