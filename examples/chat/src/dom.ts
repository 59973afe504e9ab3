/** Typed access to the elements of index.html. */

/** The element with this id; a missing one is a mistake in the page. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return element;
}

/** A new element with a class and children; strings become text. */
export function create<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Announces to screen readers what is visible on the page. */
export function announce(text: string): void {
  byId("announcer", HTMLParagraphElement).textContent = text;
}
