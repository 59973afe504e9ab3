/** One message on the page. */

import { create } from "./dom.js";
import { formatCount, formatDuration, formatRate } from "./format.js";
import { renderMarkdown } from "./markdown.js";
import type { Turn } from "./session.js";

export interface MessageActions {
  onRegenerate(): void;
}

export class MessageView {
  readonly element: HTMLLIElement;
  readonly #text = create("div", "message-text");
  readonly #foot = create("div", "message-foot");
  #turn: Turn;
  #frame = 0;

  constructor(turn: Turn, actions?: MessageActions) {
    this.#turn = turn;
    this.element = create("li", "message");
    this.element.dataset.role = turn.role;
    const speaker = create("span", "visually-hidden", turn.role === "user" ? "You: " : "Answer: ");
    if (turn.role === "user") {
      this.element.append(speaker, turn.text);
      return;
    }
    this.element.dataset.state = "waiting";
    this.element.append(speaker, this.#text, this.#foot);
    this.#foot.append(create("div", "message-stats"));
    if (actions) this.#foot.append(this.#tools(actions));
    this.#foot.hidden = true;
  }

  /** Shows the text so far, at most once a frame. */
  update(turn: Turn): void {
    this.#turn = turn;
    this.element.dataset.state = "writing";
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#text.replaceChildren(renderMarkdown(turn.text));
    });
  }

  finish(turn: Turn): void {
    this.#turn = turn;
    cancelAnimationFrame(this.#frame);
    this.element.dataset.state = "done";
    this.#text.replaceChildren(renderMarkdown(turn.text));
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
  if (ended === "stopped") figures.push(create("span", "", "Stopped"));
  if (ended === "length") figures.push(create("span", "", "Ended at the length limit"));
  return figures;
}
