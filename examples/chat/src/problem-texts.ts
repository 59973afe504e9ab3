/** What a visitor reads of each error: what happened, and a next step that this page offers. */

import { formatBytes } from "./format.js";

/** The parts of an error that its text depends on. */
export interface Failure {
  code: string;
  /** The SDK's text: what was expected, what was found and where. It knows nothing of this page's buttons. */
  message: string;
  details: Readonly<Record<string, unknown>>;
}

/** If `what` is left out, it is the SDK's message. */
interface Text {
  what?: string | ((failure: Failure) => string);
  next: string | ((failure: Failure) => string);
}

const again = "Load again: the download continues from what has arrived.";
const otherModel = "Choose another model.";
const otherFile = "Download the file again, or choose another one.";
const smaller =
  "Choose a smaller model or a smaller quantization, set a shorter context under Settings, or close other tabs.";
const report =
  "Load the model again. If it happens again, please report it with the code below: the link is at the foot of the start page.";

/** Codes that mean the same to a visitor. */
const families: [codes: string, text: Text][] = [
  [
    "count-too-large string-too-long header-too-long invalid-utf8 empty-key duplicate-key unknown-value-type " +
      "nested-array invalid-bool alignment-type bad-alignment empty-tensor-name duplicate-tensor bad-dimension-count " +
      "zero-dimension partial-block size-overflow misaligned-tensor tensor-overlap tensor-gap leading-gap " +
      "metadata-missing metadata-wrong-type metadata-out-of-range missing-key wrong-type out-of-range " +
      "inconsistent-metadata missing-tensor tensor-shape tensor-type tensor-values",
    { what: ({ message }) => `The file is damaged, or not valid GGUF: ${message}`, next: otherFile },
  ],
  [
    "unsupported-value unread-tensor unknown-tensor-type unsupported-version unknown-tokenizer-model unknown-pre-tokenizer",
    { what: ({ message }) => `This page cannot run this kind of model: ${message}`, next: otherModel },
  ],
  [
    "vocabulary-size vocabulary-array-length vocabulary-collisions token-too-long duplicate-token " +
      "invalid-byte-token invalid-merge unknown-merge-piece too-many-merges missing-special-token " +
      "token-out-of-range",
    { what: ({ message }) => `The model's vocabulary cannot be used: ${message}`, next: otherModel },
  ],
  [
    "template-too-large template-error template-out-of-fuel template-output-too-large",
    { what: ({ message }) => `The model's chat format cannot be used: ${message}`, next: otherModel },
  ],
  [
    "bad-program bad-batch bad-weight cannot-truncate no-output finished internal",
    { what: ({ message }) => `There is a bug in the engine: ${message}`, next: report },
  ],
  ["network-stalled load-stalled short-body source-changed", { what: withoutAdvice, next: again }],
  [
    "device unsupported",
    {
      what: ({ message }) => `The GPU failed: ${message}`,
      next: "Choose “CPU” under Settings and load the model again.",
    },
  ],
  [
    "invalid-argument unsupported-field",
    { next: ({ details }) => (isOfSource(details) ? "Change what you entered." : "Change it under Settings.") },
  ],
  [
    "worker-failed wasm-failed",
    {
      what: "A part of this page could not be started.",
      next: "Reload the page. If that does not help, an extension or the network may be blocking it.",
    },
  ],
];

const single: Record<string, Text> = {
  "bad-magic": { next: "Choose a .gguf file, or the address of one." },
  truncated: { what: cutOff, next: otherFile },
  "tensor-past-end": { what: cutOff, next: otherFile },
  "no-chat-template": {
    what: "The model was not made for chat: its file has no chat format.",
    next: "Choose a model made for chat; its name often ends in Instruct.",
  },
  "template-refused": { next: "Start a new chat." },
  "control-text-in-message": {
    what: ({ details: { token } }) =>
      `A message contains ${typeof token === "string" ? quoted(token) : "a text"}, which controls this model.`,
    next: "Start a new chat, and leave that text out.",
  },
  "unsupported-architecture": {
    what: ({ details, message }) => {
      const { architecture } = details;
      return typeof architecture === "string"
        ? `This page cannot run models with the architecture ${quoted(architecture)}.`
        : message;
    },
    next: "Choose a model of another architecture, such as Llama, Mistral, SmolLM or Gemma 3.",
  },
  "bad-option": {
    what: ({ details, message }) => {
      const { max } = details as { max?: number | string };
      return max === undefined ? message : `The context can have at most ${max} tokens.`;
    },
    next: "Set a shorter one under Settings and load again.",
  },
  "no-backend": {
    what: ({ details }) => {
      const { reason = "there is no WebGPU" } = details as { reason?: string };
      return `The GPU cannot be used here: ${reason}.`;
    },
    next: "Choose “Best” under Settings: the model then runs on the CPU.",
  },
  "out-of-memory": {
    what: ({ details }) => `There is not enough memory for this model${needed(details)}.`,
    next: smaller,
  },
  "needs-memory64": {
    what: ({ details }) =>
      `The model is too large for the CPU in this browser${needed(details)}` +
      (typeof details["lacking"] === "string" ? `: ${details["lacking"]}.` : "."),
    next: "Choose a smaller model or a smaller quantization, a shorter context under Settings, or another browser.",
  },
  "device-lost": {
    what: "The GPU was lost: its driver was reset, or its memory was needed elsewhere.",
    next: "Load the model again: what was stored is still in this browser.",
  },
  "empty-prompt": { what: "There is nothing to answer.", next: "Write a message first." },
  "prompt-too-long": { next: "Start a new chat, or set a longer context under Settings and load the model again." },
  "bad-logits": {
    what: "The model's results are not numbers: its file is damaged, or this device computes wrongly.",
    next: "Choose “CPU” under Settings and load it again, or remove it and download it again.",
  },
  cancelled: { what: "The load was cancelled.", next: "Load again: what has arrived is kept." },
  io: { next: "Choose the file again, or load again." },
  "network-failed": {
    what: withoutCause,
    next: "Check the address and the connection. A host must also let other sites read its files (CORS).",
  },
  "http-status": { what: withoutAdvice, next: ({ details }) => nextOfStatus(Number(details["status"])) },
  "bad-response": { next: "Check the address, or try another host." },
  "size-unknown": {
    what: "The host does not report the file's length, so it cannot be read in parts.",
    next: "Download the file yourself and choose it under File, or use another host.",
  },
  "bad-split": { next: "Enter the address of the first part; all parts must be in the same folder." },
  "hash-mismatch": {
    what: "The file that arrived is not the one that its host announced. Nothing of it was kept.",
    next: "Load again. If it happens again, use another host.",
  },
  "file-unreadable": {
    what: "The file can no longer be read: it was moved, changed or deleted.",
    next: "Choose it again.",
  },
  "storage-failed": { next: "Close other tabs of this page and load again, or restart the browser." },
  "storage-quota": {
    what: ({ details }) => {
      const [wanted, free] = [bytes(details["needed"]), bytes(details["free"])];
      const has = free === undefined ? "" : `, ${free} are free`;
      return `The browser's storage is full${wanted === undefined ? "" : `: ${wanted} are needed${has}`}.`;
    },
    next: "Delete a model under Storage, or free disk space.",
  },
  "not-stored": { what: "The model is not stored in this browser, or only partly.", next: "Load it once more." },
  "stored-damaged": {
    what: "A part of the stored model is missing or altered.",
    next: "Load it while you are online to repair it, or delete it under Storage.",
  },
  "model-in-use": {
    what: "This model is being loaded or used, here or in another tab of this page.",
    next: "Choose another model there or close that tab, then try again.",
  },
  "needs-browser": {
    what: "This browser lacks something that the page needs, such as workers.",
    next: "Open the page in a current version of Chrome, Edge, Firefox or Safari.",
  },
  unloaded: { what: "The model is no longer loaded.", next: "Choose a model on the start page." },
};

const texts = new Map<string, Text>(Object.entries(single));
for (const [codes, text] of families) for (const code of codes.split(" ")) texts.set(code, text);

/** True for a code that has its own text on this page. */
export function isKnown(code: string): boolean {
  return texts.has(code);
}

/** An error in a visitor's words: what happened and the next step, each a sentence or more. */
export function explain(failure: Failure): { what: string; next: string } {
  const { what = failure.message, next } = texts.get(failure.code) ?? { next: report };
  const text = (part: string | ((failure: Failure) => string)) => (typeof part === "string" ? part : part(failure));
  return { what: sentence(text(what)), next: text(next) };
}

/** A message as a sentence. An address or a file's name at its start stays as it is. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const isName = /[/.:_\d]/.test(trimmed.split(/\s/, 1)[0]?.slice(0, -1) ?? "");
  const start = isName ? trimmed : trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

function cutOff({ details }: Failure): string {
  // Where the incomplete part begins, and how many of its bytes the file has.
  const size = bytes(Number(details["start"] ?? details["offset"]) + Number(details["available"]));
  return `The file is incomplete: it ends${size === undefined ? "" : ` at ${size},`} before the end of the model.`;
}

function nextOfStatus(status: number): string {
  if (status === 401 || status === 403) {
    return "The host asks for a login, which this page cannot give. Download the file yourself and choose it under File.";
  }
  if (status === 404 || status === 410) return "Check the address: the host has no such file.";
  if (status === 429) return "The host wants fewer requests. Wait a little and load again.";
  if (status >= 500) return "The host has a problem. Load again later, or use another host.";
  return "Check the address, or try another host.";
}

/** A message without the SDK's general advice: this page gives its own. */
function withoutAdvice({ message }: Failure): string {
  return message.replace(/ (Load again|Load the model again|The repository asks for a token|Is there such a).*$/, "");
}

/** A message without the browser's error, which is the same for every failure: "TypeError: Failed to fetch". */
function withoutCause({ message }: Failure): string {
  return message.replace(/ \([^()]*\)$/, "");
}

function needed(details: Failure["details"]): string {
  const [wanted, limit] = [bytes(details["needed"]), bytes(details["limit"])];
  if (wanted === undefined) return "";
  return limit === undefined ? `: it needs ${wanted}` : `: it needs ${wanted}, and ${limit} are available`;
}

/** A number of bytes as errors carry it, in the units of this page. */
function bytes(value: unknown): string | undefined {
  const isNumber =
    typeof value === "number" || typeof value === "bigint" || (typeof value === "string" && value !== "");
  const number = isNumber ? Number(value) : Number.NaN;
  return Number.isFinite(number) ? formatBytes(number) : undefined;
}

function quoted(value: unknown): string {
  return `“${String(value)}”`;
}

function isOfSource({ field }: Failure["details"]): boolean {
  return typeof field === "string" && field.startsWith("source");
}
