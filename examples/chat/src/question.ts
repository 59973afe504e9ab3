/** One question with two answers, in a dialog of the page's own. */

import { byId } from "./dom.js";

export interface Question {
  title: string;
  text: string;
  /** The label of the button that agrees; null if there is nothing to agree to. */
  yes: string | null;
  /** The label of the button that changes nothing. */
  no?: string;
}

/** The open question: a second one replaces the first, which is answered with no. */
let answerLast: ((yes: boolean) => void) | null = null;

/**
 * Asks, and resolves with the answer; Escape means no. The button that changes nothing gets the focus, which returns
 * afterwards to where it was.
 */
export function ask({ title, text, yes, no = "Cancel" }: Question): Promise<boolean> {
  answerLast?.(false);
  const dialog = byId("question", HTMLDialogElement);
  byId("question-title", HTMLHeadingElement).textContent = title;
  byId("question-text", HTMLParagraphElement).textContent = text;
  byId("question-yes", HTMLButtonElement).textContent = yes;
  byId("question-yes", HTMLButtonElement).hidden = yes === null;
  byId("question-no", HTMLButtonElement).textContent = no;
  return new Promise((resolve) => {
    const answer = (agreed: boolean) => {
      dialog.removeEventListener("close", closed);
      answerLast = null;
      resolve(agreed);
    };
    const closed = () => answer(dialog.returnValue === "yes");
    answerLast = answer;
    dialog.returnValue = "no";
    dialog.addEventListener("close", closed);
    if (!dialog.open) dialog.showModal();
    byId("question-no", HTMLButtonElement).focus();
  });
}

/** Closes with no when the reader clicks beside it. */
export function initQuestion(): void {
  const dialog = byId("question", HTMLDialogElement);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close("no");
  });
}
