/** One loaded model and the conversation with it. Knows the SDK, not the page. */

import {
  type Chord,
  type ChatCompletionRequest,
  type ChatMessage,
  ChordError,
  type PromptProgress,
} from "@querent-ai/wasm-chord";
import { type Conversation, newConversation, type Turn } from "./conversations.js";
import { isCancelled } from "./problem.js";
import type { Settings } from "./settings.js";

/** The share of the context to keep free for the answer when the oldest turns are left out. */
const roomForAnswer = 0.25;

/** Reports of an answer while it is written. */
export interface AnswerEvents {
  /** Every change of the answer, which is the turn that `answer` returns. */
  onText(turn: Turn): void;
  onPrompt(progress: PromptProgress): void;
  /** Older turns were left out. */
  onRoom(): void;
}

export class Session {
  conversation: Conversation;
  /** Tokens of the context that the conversation uses so far. */
  contextUsed = 0;
  #abort: AbortController | null = null;

  constructor(
    readonly chord: Chord,
    readonly modelName: string,
    readonly contextLength: number,
  ) {
    this.conversation = newConversation(modelName);
  }

  get busy(): boolean {
    return this.#abort !== null;
  }

  /** Ends the answer that is being written; what is there stays. */
  stop(): void {
    this.#abort?.abort();
  }

  /** Continues with another conversation. */
  open(conversation: Conversation): void {
    this.stop();
    this.conversation = conversation;
    this.contextUsed = 0;
  }

  /** Removes the last answer, so that another can be requested; false if there is none. */
  dropAnswer(): boolean {
    const { turns } = this.conversation;
    if (this.busy || turns.at(-1)?.role !== "assistant") return false;
    turns.pop();
    return true;
  }

  /**
   * Answers the last message. Rejects where the engine fails, with `prompt-too-long` where the conversation no longer
   * fits the context; a stopped answer resolves.
   */
  async answer(settings: Readonly<Settings>, { onText, onPrompt, onRoom }: AnswerEvents): Promise<Turn> {
    const abort = new AbortController();
    const conversation = this.conversation;
    const turn: Turn = { role: "assistant", text: "" };
    this.#abort = abort;
    try {
      if (conversation.dropsOldest && (await this.makeRoom(settings, abort.signal))) onRoom();
      const request = this.#request(settings);
      conversation.turns.push(turn);
      conversation.model = this.modelName;
      const onPromptProgress = (progress: PromptProgress) => {
        this.#use(progress.processed);
        onPrompt(progress);
      };
      const options = { signal: abort.signal, onPromptProgress };
      const stream = await this.chord.chat.completions.create(request, options);
      for await (const chunk of stream) {
        const [choice] = chunk.choices;
        if (choice?.delta.content) {
          turn.text += choice.delta.content;
          // A piece is a token, or the last of the tokens that make up a letter.
          this.#use(this.contextUsed + 1);
          onText(turn);
        }
        if (choice?.finish_reason === "length") turn.ended = "length";
        if (chunk.usage) {
          turn.usage = chunk.usage;
          this.#use(chunk.usage.total_tokens);
        }
      }
    } catch (error) {
      if (turn.text === "") remove(conversation.turns, turn);
      if (!isCancelled(error)) throw error;
      turn.ended = "stopped";
    } finally {
      this.#abort = null;
    }
    return turn;
  }

  /** True if the last answer ended because nothing more has room. */
  get isFull(): boolean {
    return this.conversation.turns.at(-1)?.ended === "length" && this.contextUsed >= this.contextLength;
  }

  /** Counts the tokens of the conversation that are sent, if no answer has just reported them. */
  async measure(settings: Readonly<Settings>): Promise<void> {
    const { conversation } = this;
    const messages = this.#messages(settings);
    const count = conversation.turns.length === 0 ? 0 : await this.chord.countTokens(messages);
    if (this.conversation === conversation && !this.busy) this.#use(count);
  }

  /** The last token of a context that is full is never read. */
  #use(tokens: number): void {
    this.contextUsed = Math.min(tokens, this.contextLength);
  }

  /**
   * Leaves out the oldest turns, question and answer together, until the rest has room and some is left for an answer.
   * The system prompt and the last question stay. True if turns were left out.
   */
  async makeRoom(settings: Readonly<Settings>, signal?: AbortSignal): Promise<boolean> {
    const { conversation, contextLength } = this;
    const before = conversation.unsent;
    const longest = settings.maxTokens ?? contextLength;
    const limit = contextLength - Math.min(longest, Math.floor(contextLength * roomForAnswer));
    const count = () => this.chord.countTokens(this.#messages(settings), signal ? { signal } : {});
    while ((await count()) > limit) {
      const next = conversation.turns.findIndex(({ role }, index) => role === "user" && index > conversation.unsent);
      if (next < 0) break;
      conversation.unsent = next;
    }
    return conversation.unsent > before;
  }

  /** What is sent: the system prompt, and the conversation without the turns that were left out. */
  #messages(settings: Readonly<Settings>): ChatMessage[] {
    const { turns, unsent } = this.conversation;
    const messages: ChatMessage[] = turns.slice(unsent).map(({ role, text }) => ({ role, content: text }));
    if (settings.system.trim() !== "") messages.unshift({ role: "system", content: settings.system });
    return messages;
  }

  #request(settings: Readonly<Settings>): ChatCompletionRequest & { stream: true } {
    return {
      messages: this.#messages(settings),
      stream: true,
      stream_options: { include_usage: true },
      temperature: settings.temperature,
      top_k: settings.topK,
      top_p: settings.topP,
      min_p: settings.minP,
      repeat_penalty: settings.repetitionPenalty,
      max_tokens: settings.maxTokens,
      seed: settings.seed,
    };
  }
}

/** True if the conversation has outgrown the context. */
export function isTooLong(error: unknown): boolean {
  return error instanceof ChordError && error.code === "prompt-too-long";
}

function remove(turns: Turn[], turn: Turn): void {
  const index = turns.indexOf(turn);
  if (index >= 0) turns.splice(index, 1);
}
