// @ts-check
// What was measured, as tables on the page and as Markdown to copy.

import { table } from "../statistics.mjs";

/**
 * @typedef {object} Section
 * @property {string} title
 * @property {string[]} head names of the columns, with units
 * @property {string[][]} rows
 * @property {string[]} notes sentences: what was left out, and why
 */

/**
 * @param {Section} section
 * @returns {HTMLElement}
 */
export function toElement({ title, head, rows, notes }) {
  const cells = (/** @type {string[]} */ texts, /** @type {"td" | "th"} */ tag) =>
    element("tr", ...texts.map((text) => element(tag, text)));
  const body = element("tbody", ...rows.map((row) => cells(row, "td")));
  const parts = rows.length === 0 ? [] : [element("table", element("thead", cells(head, "th")), body)];
  return element("section", element("h2", title), ...parts.map(scrolling), ...notes.map((note) => element("p", note)));
}

/** @param {HTMLElement} inner */
function scrolling(inner) {
  const outer = element("div", inner);
  outer.className = "scrolling";
  return outer;
}

/**
 * @param {Section[]} sections
 * @returns {string}
 */
export function toMarkdown(sections) {
  const parts = sections.flatMap(({ title, head, rows, notes }) => [
    `### ${title}`,
    ...(rows.length === 0
      ? []
      : [
          table(
            head.map(escaped),
            rows.map((row) => row.map(escaped)),
          ),
        ]),
    ...notes,
  ]);
  return `${parts.join("\n\n")}\n`;
}

const escaped = (/** @type {string} */ text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/**
 * A new element; strings become text.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {(Node | string)[]} children
 */
export function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}
