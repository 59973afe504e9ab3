/** One loaded model and one conversation with it. Knows the SDK, not the page. */

import type { Chord, ChatCompletionRequest, Usage } from "@querent-ai/wasm-chord";
import { isCancelled } from "./problem.js";
import type { Settings } from "./settings.js";

export interface Turn {
  role: "user" | "assistant";
  text: string;
  /** Figures of a finished answer. */
  usage?: Usage;
  /** The answer was stopped by the reader, or by its length limit. */
  ended?: "stopped" | "length";
}

export class Session {
  readonly turns: Turn[] = [];
  /** Tokens of the context that the conversation takes, as of the last answer. */
  contextUsed = 0;
  #abort: AbortController | null = null;

  constructor(
    readonly chord: Chord,
    readonly modelName: string,
  ) {}

  get busy(): boolean {
    return this.#abort !== null;
  }

  /** Ends the answer that is being written; what is there stays. */
  stop(): void {
    this.#abort?.abort();
  }

  clear(): void {
    this.stop();
    this.turns.length = 0;
    this.contextUsed = 0;
  }

  /** Removes the last answer, so that another can be asked for; false where there is none. */
  dropAnswer(): boolean {
    if (this.busy || this.turns.at(-1)?.role !== "assistant") return false;
    this.turns.pop();
    return true;
  }

  /**
   * Answers the last message. `onText` hears of every change of the answer, which is the turn that is returned.
   * Rejects where the engine fails; a stopped answer resolves.
   */
  async answer(settings: Readonly<Settings>, onText: (turn: Turn) => void): Promise<Turn> {
    const abort = new AbortController();
    const request = this.#request(settings);
    const turn: Turn = { role: "assistant", text: "" };
    this.turns.push(turn);
    this.#abort = abort;
    try {
      const stream = await this.chord.chat.completions.create(request, { signal: abort.signal });
      for await (const chunk of stream) {
        const [choice] = chunk.choices;
        if (choice?.delta.content) {
          turn.text += choice.delta.content;
          onText(turn);
        }
        if (choice?.finish_reason === "length") turn.ended = "length";
        if (chunk.usage) {
          turn.usage = chunk.usage;
          this.contextUsed = chunk.usage.total_tokens;
        }
      }
    } catch (error) {
      if (turn.text === "") this.#remove(turn);
      if (!isCancelled(error)) throw error;
      turn.ended = "stopped";
    } finally {
      this.#abort = null;
    }
    return turn;
  }

  #request(settings: Readonly<Settings>): ChatCompletionRequest & { stream: true } {
    const messages: ChatCompletionRequest["messages"] = this.turns.map(({ role, text }) => ({ role, content: text }));
    if (settings.system.trim() !== "") messages.unshift({ role: "system", content: settings.system });
    return {
      messages,
      stream: true,
      stream_options: { include_usage: true },
      temperature: settings.temperature,
      top_k: settings.topK,
      top_p: settings.topP,
      min_p: settings.minP,
      repetition_penalty: settings.repetitionPenalty,
      max_tokens: settings.maxTokens,
      seed: settings.seed,
    };
  }

  #remove(turn: Turn): void {
    const index = this.turns.indexOf(turn);
    if (index >= 0) this.turns.splice(index, 1);
  }
}
