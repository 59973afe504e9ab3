/** Run GGUF language models on the visitor's own GPU, in the browser. */

export { Chord } from "./chord.js";
export type { CallOptions, ChatCreate, CompletionCreate, GenerateOptions, TokenizeOptions } from "./chord.js";
export type { CachedModel, CacheUsage, ImportOptions, StoredSource } from "./cache.js";
export type { ImportSource } from "./cache/import.js";
export type { ArtifactName } from "./artifacts.js";
export type { Capabilities } from "./capabilities.js";
export type { NumberFields } from "./engine-limits.js";
export { ChordError, SDK_ERROR_CODES } from "./errors.js";
export type { DownloadSettings } from "./download/settings.js";
export type { ChordErrorCode, ErrorRecord, SdkErrorCode } from "./errors.js";
export type { ChordInfo, LoadTimes } from "./info.js";
export type { Inspection, InspectOptions, Verdict } from "./inspect.js";
export { LoadControl } from "./load-control.js";
export type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  Completion,
  CompletionChunk,
  CompletionRequest,
  ContentPartText,
  FinishReason,
  GenerationFields,
  PromptProgress,
  Usage,
  UsageExtra,
} from "./openai/types.js";
export type { ChordLoadOptions } from "./options.js";
export { LOAD_STAGES } from "./progress.js";
export type { LoadProgress, LoadStage } from "./progress.js";
export type { StoreReport } from "./protocol.js";
export { parseHubAddress } from "./source/hub-address.js";
export type { HubAddress } from "./source/hub-address.js";
export type { HuggingFaceSource, ModelSource, UrlSource } from "./source/source.js";
export type { StoreChoice, StoreKind } from "./store/store.js";
export type { ChordStream } from "./stream.js";
