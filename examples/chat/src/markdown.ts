/**
 * Model output as HTML. It is text from a stranger: raw HTML shows as text, links are http, https or mailto, and
 * nothing in it can make the browser fetch anything.
 */

import DOMPurify, { type Config } from "dompurify";
import { Marked, type MarkedOptions, Parser, type Token } from "marked";
import { asWritten, escapeHtml, FormulaTokenizer, formulas } from "./math.js";

const marked = new Marked({
  gfm: true,
  breaks: true,
  extensions: formulas,
  renderer: {
    html: ({ text, block }) => (block ? `<p>${asWritten(text.trim())}</p>\n` : escapeHtml(text)),
    // A picture would be a request to a host that the model chose; its description and address stay readable.
    image: ({ href, text }) => escapeHtml(text ? `${text} (${href})` : href),
  },
});

// Among the options above, marked would use only the tokenizer's own properties.
marked.setOptions({ tokenizer: new FormulaTokenizer() });

const purifier = DOMPurify(window);

/** Everything that Markdown makes, and nothing else. */
const allowed: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: [
    ...["p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"],
    ...["strong", "em", "del", "a", "table", "thead", "tbody", "tr", "th", "td", "input"],
  ],
  ALLOWED_ATTR: ["href", "title", "start", "align", "class", "type", "checked", "disabled"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  // The rule for addresses holds for every attribute that is not named here.
  ADD_URI_SAFE_ATTR: ["title", "start", "align", "class", "type", "checked", "disabled"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** The one class that Markdown gives: the language of a block of code. */
const languageClass = /^language-[\w.+#-]{1,40}$/;

purifier.addHook("uponSanitizeAttribute", (node, attribute) => {
  if (attribute.attrName !== "class") return;
  attribute.keepAttr = node.tagName === "CODE" && languageClass.test(attribute.attrValue);
});

purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  } else if (node.tagName === "INPUT") {
    // The box of a task list: it only shows its state.
    node.setAttribute("type", "checkbox");
    node.setAttribute("disabled", "");
    node.setAttribute("aria-label", node.hasAttribute("checked") ? "Done" : "To do");
  }
});

/** The options with which this page reads Markdown, for reading it block by block. */
export function markdownOptions(): MarkedOptions {
  return marked.defaults;
}

/** Markdown as HTML that is not sanitized yet. */
export function toHtml(text: string): string {
  return marked.parse(text, { async: false });
}

/** Markdown as nodes that are safe to insert. */
export function renderMarkdown(text: string): DocumentFragment {
  return direct(purifier.sanitize(toHtml(text), allowed));
}

/** The same for blocks that were read already. */
export function renderBlocks(blocks: Token[]): DocumentFragment {
  return direct(purifier.sanitize(Parser.parse(blocks, marked.defaults), allowed));
}

/** Each block has the direction of its first letter; code runs from left to right. */
function direct(fragment: DocumentFragment): DocumentFragment {
  for (const block of fragment.children) block.setAttribute("dir", block.tagName === "PRE" ? "ltr" : "auto");
  return fragment;
}
