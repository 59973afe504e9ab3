import {
  COMPLETION_MAX_TOKENS,
  MAX_STOP_STRINGS,
  MAX_TOKENS_RANGE,
  type NumberFields,
  type NumberRange,
  SAMPLING_RANGES,
  SEED_RANGE,
} from "../engine-limits.js";
import type { GenerateRequest, Message, Prompt, Sampling } from "../engine-types.js";
import { ChordError } from "../errors.js";
import type { ChatCompletionRequest, CompletionRequest, GenerationFields } from "./types.js";

/** Numbers that steer the answer, and their ranges. */
const NUMBERS: readonly NumberRange[] = [...SAMPLING_RANGES, MAX_TOKENS_RANGE, SEED_RANGE];

/** Fields of both kinds of request that have an effect here. */
const HONOURED: readonly string[] = [
  ...NUMBERS.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias])),
  "model",
  "stop",
  "stream",
  "stream_options",
  "return_progress",
];

/** Fields of OpenAI that have no effect on the text: accepted with any value. */
const WITHOUT_EFFECT = ["metadata", "store", "user", "safety_identifier", "service_tier", "prompt_cache_key"];

/** Fields that are accepted while they ask for nothing. */
const NEUTRAL: Record<string, unknown> = {
  n: 1,
  best_of: 1,
  echo: false,
  frequency_penalty: 0,
  presence_penalty: 0,
  logprobs: false,
  top_logprobs: 0,
  suffix: "",
  parallel_tool_calls: true,
};

/** A request that was checked. */
export interface CheckedRequest {
  params: GenerateRequest;
  model: string | undefined;
  stream: boolean;
  includeUsage: boolean;
  returnProgress: boolean;
}

/** Checks a chat request: fields that would be ignored are refused. */
export function checkChatRequest(request: ChatCompletionRequest): CheckedRequest {
  checkFields(request, ["messages", "now"]);
  const result = checked(request, { messages: checkMessages(request.messages) });
  result.params.now = wallClock(request.now ?? new Date());
  return result;
}

/** A moment's local date and time, as seconds since 1970-01-01 00:00 on the same clock, without time zones. */
export function wallClock(moment: Date): number {
  if (!(moment instanceof Date) || Number.isNaN(moment.getTime())) throw invalid("now", "now must be a valid Date");
  const days = [moment.getFullYear(), moment.getMonth(), moment.getDate()] as const;
  const time = [moment.getHours(), moment.getMinutes(), moment.getSeconds()] as const;
  // `Date.UTC` would take years below 100 for those of the twentieth century.
  return new Date(0).setUTCFullYear(...days) / 1000 + (time[0] * 60 + time[1]) * 60 + time[2];
}

/** Checks a text request: fields that would be ignored are refused. */
export function checkCompletionRequest(request: CompletionRequest): CheckedRequest {
  checkFields(request, ["prompt"]);
  const result = checked(request, checkPrompt(request.prompt));
  result.params.max_tokens ??= COMPLETION_MAX_TOKENS;
  return result;
}

/** Messages with their text parts joined. */
export function checkMessages(messages: unknown): Message[] {
  if (!Array.isArray(messages) || messages.length === 0)
    throw invalid("messages", "messages must be a non-empty array");
  return messages.map((message: unknown, index) => {
    const at = `messages[${index}]`;
    if (typeof message !== "object" || message === null) throw invalid(at, `${at} must be an object`);
    const { role, content, name, ...rest } = message as Record<string, unknown>;
    if (typeof role !== "string" || role === "") throw invalid(`${at}.role`, `${at}.role must be a string`);
    for (const field of Object.keys(rest)) {
      const value = rest[field];
      const asksNothing = value == null || (Array.isArray(value) && value.length === 0);
      if (!asksNothing) throw unsupported(`${at}.${field}`);
    }
    const checked: Message = { role, content: checkContent(content, `${at}.content`) };
    if (name != null) {
      if (typeof name !== "string") throw invalid(`${at}.name`, `${at}.name must be a string`);
      checked.name = name;
    }
    return checked;
  });
}

function checkContent(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw invalid(at, `${at} must be a string or an array of text parts`);
  return content
    .map((part: unknown, index) => {
      const { type, text } = (part ?? {}) as Record<string, unknown>;
      if (type !== "text") throw unsupported(`${at}[${index}].type`, `a part of type "${String(type)}"`);
      if (typeof text !== "string") throw invalid(`${at}[${index}].text`, `${at}[${index}].text must be a string`);
      return text;
    })
    .join("");
}

/** Whether these are numbers that the engine takes as token ids; which ids exist depends on the model. */
export function isTokenIds(value: ArrayLike<unknown>): value is ArrayLike<number> {
  return Array.from(value).every((id) => Number.isInteger(id) && (id as number) >= 0 && (id as number) <= 0xffffffff);
}

function checkPrompt(prompt: unknown): Prompt {
  if (typeof prompt === "string") return { text: prompt };
  if (Array.isArray(prompt) && prompt.length > 0 && isTokenIds(prompt)) return { tokens: prompt };
  if (Array.isArray(prompt) && prompt.some((item) => typeof item !== "number")) {
    throw unsupported("prompt", "several prompts in one request");
  }
  throw invalid("prompt", "prompt must be a string or a non-empty array of token ids");
}

function checked(request: GenerationFields, prompt: Prompt): CheckedRequest {
  const sampling: Sampling = {};
  for (const range of SAMPLING_RANGES) {
    const value = checkNumber(request, range);
    if (value !== undefined) sampling[range.name] = value;
  }
  const params: GenerateRequest = { prompt, sampling, stop: checkStop(request.stop) };
  const maxTokens = checkNumber(request, MAX_TOKENS_RANGE);
  if (maxTokens !== undefined) params.max_tokens = maxTokens;
  const seed = checkNumber(request, SEED_RANGE);
  if (seed !== undefined) params.seed = seed;
  const stream = flag(request.stream, "stream");
  const includeUsage = flag(request.stream_options?.include_usage, "stream_options.include_usage");
  if (request.stream_options != null && !stream) throw invalid("stream_options", "stream_options needs stream: true");
  const returnProgress = flag(request.return_progress, "return_progress");
  if (returnProgress && !stream) throw invalid("return_progress", "return_progress needs stream: true");
  return { params, model: request.model, stream, includeUsage, returnProgress };
}

function checkStop(stop: GenerationFields["stop"]): string[] {
  if (stop == null) return [];
  const list = Array.isArray(stop) ? stop : [stop];
  if (list.some((item) => typeof item !== "string" || item === "")) {
    throw invalid("stop", "stop must be a non-empty string or an array of them");
  }
  if (list.length > MAX_STOP_STRINGS)
    throw invalid("stop", `stop must have at most ${MAX_STOP_STRINGS} strings, not ${list.length}`);
  return list;
}

function checkFields(request: object, own: string[]): void {
  if (typeof request !== "object" || request === null) throw invalid("request", "the request must be an object");
  for (const [field, value] of Object.entries(request)) {
    if (value == null || HONOURED.includes(field) || WITHOUT_EFFECT.includes(field) || own.includes(field)) continue;
    if (field in NEUTRAL && NEUTRAL[field] === value) continue;
    const asksNothing = Array.isArray(value) ? value.length === 0 : false;
    if (!asksNothing) throw unsupported(field);
  }
}

/** The number that a request gives under either of its names. The engine gives the same errors for the same values. */
function checkNumber(request: NumberFields, range: NumberRange): number | undefined {
  const { name, alias } = range;
  const value = inRange(request[name], name, range);
  if (alias === undefined) return value;
  const other = inRange(request[alias], alias, range);
  if (value !== undefined && other !== undefined && value !== other) {
    throw invalid(name, `${name} is ${value} and ${alias} is ${other}: give one of them`);
  }
  return value ?? other;
}

function inRange(value: unknown, name: string, { whole, least, most }: NumberRange): number | undefined {
  if (value == null) return undefined;
  const fits = typeof value === "number" && value >= least && value <= most && (!whole || Number.isInteger(value));
  if (fits) return value;
  const found =
    typeof value === "number" ? String(value) : typeof value === "object" ? "an object" : `a ${typeof value}`;
  throw invalid(name, `${name} must be a ${whole ? "whole number" : "number"} from ${least} to ${most}, not ${found}`);
}

function flag(value: unknown, field: string): boolean {
  if (value == null) return false;
  if (typeof value !== "boolean") throw invalid(field, `${field} must be true or false`);
  return value;
}

function invalid(field: string, message: string): ChordError {
  return new ChordError("invalid-argument", message, { field });
}

function unsupported(field: string, what = `the field "${field}"`): ChordError {
  return new ChordError("unsupported-field", `This engine does not support ${what}; leave it out`, { field });
}
