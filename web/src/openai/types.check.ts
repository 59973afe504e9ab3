/**
 * Checked by the compiler, never run: code written for the `openai` package reads our answers, and requests written for
 * it are valid requests here (as far as their fields are supported).
 */

import type OpenAI from "openai";
import type { Chord } from "../chord.js";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
} from "./types.js";

/** Compiles only if `Ours` can stand where `Theirs` is expected. */
type Fits<Ours extends Theirs, Theirs> = Ours;
/** The fields of `Ours` that have a name in `Theirs`. */
type Shared<Ours, Theirs> = Pick<Ours, keyof Ours & keyof Theirs>;

type Chat = OpenAI.Chat.Completions.ChatCompletionCreateParams;
type Text = OpenAI.CompletionCreateParams;

export type Checks = [
  Fits<ChatCompletion, OpenAI.Chat.Completions.ChatCompletion>,
  Fits<ChatCompletionChunk, OpenAI.Chat.Completions.ChatCompletionChunk>,
  Fits<Completion, OpenAI.Completion>,
  Fits<CompletionChunk, Omit<OpenAI.Completion, "choices" | "usage">>,
  Fits<Shared<ChatCompletionRequest, Chat>, Partial<Chat>>,
  Fits<Shared<CompletionRequest, Text>, Partial<Text>>,
  Fits<{ role: "system"; content: string }, ChatCompletionRequest["messages"][number]>,
];

/** A loop as it is usually written for OpenAI. */
export async function readsLikeOpenAi(chord: Chord): Promise<string> {
  const messages: OpenAI.Chat.Completions.ChatCompletionUserMessageParam[] = [{ role: "user", content: "Hi" }];
  const asText = messages.map(({ role, content }) => ({ role, content: typeof content === "string" ? content : "" }));
  const stream: AsyncIterable<OpenAI.Chat.Completions.ChatCompletionChunk> = await chord.chat.completions.create({
    messages: asText,
    stream: true,
  });
  let out = "";
  for await (const chunk of stream) out += chunk.choices[0]?.delta?.content ?? "";
  const whole: OpenAI.Chat.Completions.ChatCompletion = await chord.chat.completions.create({ messages: asText });
  return out + (whole.choices[0]?.message.content ?? "");
}
