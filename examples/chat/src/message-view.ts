/** One message on the page. */

import type { PromptProgress } from "@querent-ai/wasm-chord";
import type { Turn } from "./conversations.js";
import { announce, create } from "./dom.js";
import { formatCount, formatDuration, formatRate } from "./format.js";
import { MarkdownStream } from "./markdown-stream.js";

export interface MessageActions {
  onRegenerate(): void;
}

/** A stored answer is shown in parts of this many characters, so that a long one does not block the page. */
const partLength = 8_000;

/** Showing text may take at most this share of the time: a long last block is shown less often. */
const mostOfTheTime = 0.2;

export class MessageView {
  readonly element: HTMLLIElement;
  readonly #text = create("div", "message-text");
  readonly #reading = create("div", "reading");
  readonly #foot = create("div", "message-foot");
  readonly #markdown = new MarkdownStream(this.#text);
  #regenerate: HTMLButtonElement | null = null;
  #turn: Turn;
  #frame = 0;
  /** Before this moment the text is not shown again. */
  #notBefore = 0;

  constructor(turn: Turn, actions?: MessageActions) {
    this.#turn = turn;
    this.element = create("li", "message");
    this.element.dataset.role = turn.role;
    const speaker = create("span", "visually-hidden", turn.role === "user" ? "You: " : "Answer: ");
    if (turn.role === "user") {
      const text = create("div", "message-words", turn.text);
      text.dir = "auto";
      this.element.append(speaker, text);
      return;
    }
    this.element.dataset.state = "waiting";
    this.#text.dir = "auto";
    this.element.append(speaker, this.#text, this.#reading, this.#foot);
    this.#reading.hidden = true;
    this.#foot.append(create("div", "message-stats"));
    if (actions) this.#foot.append(this.#tools(actions));
    this.#foot.hidden = true;
  }

  /** Shows how far the prompt has been read, while there is more to read. */
  showReading({ total, cache, processed }: PromptProgress): void {
    const left = total - processed;
    if (left > 0 && this.#reading.hidden) announce("Reading the prompt");
    this.#reading.hidden = left <= 0;
    if (left <= 0) return;
    const share = (processed - cache) / Math.max(1, total - cache);
    const bar = create("progress");
    Object.assign(bar, { max: 1, value: share });
    bar.setAttribute("aria-label", "Reading the prompt");
    const percent = `${Math.floor(share * 100)} %`;
    const text = `Reading the prompt, ${percent} of ${formatCount(total - cache)} tokens`;
    const [shown, words] = this.#reading.children;
    if (shown instanceof HTMLProgressElement && words) {
      shown.value = share;
      words.textContent = text;
    } else {
      this.#reading.replaceChildren(bar, create("span", "number", text));
    }
  }

  /** Shows the text so far, at most once a frame. */
  update(turn: Turn): void {
    this.#turn = turn;
    this.element.dataset.state = "writing";
    this.#reading.hidden = true;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    const began = performance.now();
    if (began < this.#notBefore) {
      this.#frame = requestAnimationFrame(() => this.#draw());
      return;
    }
    this.#frame = 0;
    this.#markdown.update(this.#turn.text);
    const took = performance.now() - began;
    this.#notBefore = began + took / mostOfTheTime;
  }

  finish(turn: Turn): void {
    cancelAnimationFrame(this.#frame);
    this.#markdown.update(turn.text, true);
    this.#end(turn);
  }

  /** Shows an answer that is there already. */
  async show(turn: Turn): Promise<void> {
    for (let end = partLength; end < turn.text.length; end += partLength) {
      this.#markdown.update(turn.text.slice(0, end));
      await new Promise((later) => setTimeout(later));
    }
    this.finish(turn);
  }

  focusRegenerate(): void {
    this.#regenerate?.focus();
  }

  #end(turn: Turn): void {
    this.#turn = turn;
    this.element.dataset.state = "done";
    this.#reading.hidden = true;
    this.#foot.firstElementChild?.replaceChildren(...statistics(turn));
    this.#foot.hidden = false;
  }

  #tools(actions: MessageActions): HTMLDivElement {
    const copy = create("button", "quiet", "Copy");
    copy.type = "button";
    copy.addEventListener("click", () => {
      void copyText(this.#turn.text).then((copied) => {
        copy.textContent = copied ? "Copied" : "Not allowed";
        setTimeout(() => (copy.textContent = "Copy"), 1500);
      });
    });
    const again = create("button", "quiet regenerate", "Regenerate");
    again.type = "button";
    again.addEventListener("click", () => actions.onRegenerate());
    this.#regenerate = again;
    return create("div", "message-tools", copy, again);
  }
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function statistics({ usage, ended }: Turn): HTMLElement[] {
  const figures: HTMLElement[] = [];
  const add = (value: string, label: string) =>
    figures.push(create("span", "number", create("b", "", value), ` ${label}`));
  if (usage) {
    const cached = usage.prompt_tokens_details.cached_tokens;
    add(formatDuration(usage.extra.time_to_first_token_s), "to the first token");
    if (usage.completion_tokens > 1) add(formatRate(usage.extra.decode_tokens_per_s), "");
    add(formatCount(usage.completion_tokens), usage.completion_tokens === 1 ? "token" : "tokens");
    if (cached > 0) add(formatCount(cached), "reused");
  }
  // The page was left, or the engine failed.
  if (!usage && !ended) figures.push(create("span", "", "Interrupted"));
  if (ended === "stopped") figures.push(create("span", "", "Stopped"));
  if (ended === "length") figures.push(create("span", "", "Ended at the length limit"));
  return figures;
}
