/** The sheet of conversations that this browser keeps: open one, delete one. */

import { type ConversationStore, onOtherTabs, type Summary } from "./conversations.js";
import { announce, byId, create } from "./dom.js";
import { formatCount } from "./format.js";
import { clearProblem, showProblem } from "./problem.js";

const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

export interface ChatsActions {
  /** The conversation on the page. */
  current(): string | undefined;
  open(id: string): Promise<void>;
  deleted(id: string): Promise<void>;
}

export class ChatsView {
  readonly #dialog = byId("chats", HTMLDialogElement);
  readonly #problem = byId("chats-problem", HTMLParagraphElement);
  readonly #rows = byId("chats-list", HTMLUListElement);
  readonly #store: ConversationStore;
  readonly #actions: ChatsActions;

  constructor(store: ConversationStore, actions: ChatsActions) {
    this.#store = store;
    this.#actions = actions;
    byId("chats-button", HTMLButtonElement).addEventListener("click", () => {
      this.#dialog.showModal();
      void this.#refresh();
    });
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    onOtherTabs(() => {
      if (this.#dialog.open) void this.#refresh();
    });
  }

  async #refresh(): Promise<void> {
    try {
      const kept = await this.#store.list();
      clearProblem(this.#problem);
      this.#rows.replaceChildren(...kept.map((summary) => this.#row(summary)));
      byId("chats-empty", HTMLParagraphElement).hidden = kept.length > 0;
    } catch (error) {
      showProblem(this.#problem, error);
    }
  }

  #row(summary: Summary): HTMLLIElement {
    const { id, model, updatedAt, length } = summary;
    const title = create("strong", "", titleOf(summary));
    title.dir = "auto";
    const messages = length === 1 ? "1 message" : `${formatCount(length)} messages`;
    const facts = create("span", "hint number", `${moment.format(updatedAt)}, ${messages}, ${model}`);
    const open = create("button", "chat-row", title, facts);
    open.type = "button";
    if (id === this.#actions.current()) open.setAttribute("aria-current", "true");
    open.addEventListener("click", () => void this.#open(id));
    return create("li", "", open, this.#deleteButton(summary));
  }

  /** Asks once more before it deletes: nothing brings a conversation back. */
  #deleteButton(summary: Summary): HTMLButtonElement {
    const button = create("button", "quiet", "Delete");
    button.type = "button";
    const ask = (asked: boolean) => {
      button.toggleAttribute("data-asked", asked);
      button.textContent = asked ? "Really delete?" : "Delete";
      button.setAttribute("aria-label", `${asked ? "Really delete" : "Delete"} ${titleOf(summary)}${asked ? "?" : ""}`);
    };
    ask(false);
    button.addEventListener("blur", () => ask(false));
    button.addEventListener("click", () => {
      if (!button.hasAttribute("data-asked")) return ask(true);
      void this.#delete(summary);
    });
    return button;
  }

  async #open(id: string): Promise<void> {
    try {
      await this.#actions.open(id);
      this.#dialog.close();
    } catch (error) {
      showProblem(this.#problem, error);
    }
  }

  async #delete(summary: Summary): Promise<void> {
    try {
      await this.#store.delete(summary.id);
      await this.#actions.deleted(summary.id);
      announce(`${titleOf(summary)} is deleted`);
    } catch (error) {
      showProblem(this.#problem, error);
    }
    await this.#refresh();
    this.#dialog.querySelector<HTMLButtonElement>(".panel-head button")?.focus();
  }
}

function titleOf({ title }: Summary): string {
  return title || "Without a title";
}
