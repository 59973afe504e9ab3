/**
 * Formulas in Markdown: `\( … \)`, `\[ … \]`, `$ … $` and `$$ … $$` are shown as they were written. Markdown alone
 * removes the backslashes in front of brackets and reads `*` and `_` in formulas as emphasis.
 */

import { Tokenizer, type TokenizerAndRendererExtension, type Tokens } from "marked";

/** No blank line: a formula is part of one paragraph. */
const inText = [/\\\((?:\\[^)]|[^\\])+?\\\)/, /\\\[(?:\\[^\]]|[^\\])+?\\\]/, /\$\$(?!\$)(?:\\.|[^\\$])+?\$\$/s];
/** An amount is not a formula: the signs touch what is between them, which has something that Markdown would read. */
const inDollars = /\$(?![\s$\d])(?=[^$\n]*[\\^_{*])(?:\\.|[^\\$\n])*?(?:\\.|[^\\$\s])\$(?!\d)/;
const formula = new RegExp([...inText, inDollars].map(({ source }) => source).join("|"), "gs");
const formulaHere = new RegExp(`^(?:${formula.source})`, "s");

const noBlankLine = String.raw`(?:(?!\n[ \t]*\n)[\s\S])`;
/** On separate lines. If not closed, it extends to the end of the text: an unfinished answer. */
const displayed = new RegExp(
  String.raw`^ {0,3}(?:\\\[${noBlankLine}*?\\\]|\$\$(?!\$)${noBlankLine}+?\$\$)[ \t]*(?:\n+|$)`,
);
const displayedOpen = new RegExp(String.raw`^ {0,3}(\\\[|\$\$(?!\$))(${noBlankLine}*)$`);

/** Where a displayed formula may begin behind other lines. */
const displayStart = /\n(?= {0,3}(?:\\\[|\$\$))/g;

const displayFormula: TokenizerAndRendererExtension = {
  name: "displayFormula",
  level: "block",
  start: firstDisplay,
  tokenizer(source) {
    const raw = displayAt(source);
    return raw === undefined ? undefined : { type: "displayFormula", raw };
  },
  renderer: ({ raw }) => `<p>${asWritten(raw.trim())}</p>\n`,
};

const inlineFormula: TokenizerAndRendererExtension = {
  name: "inlineFormula",
  level: "inline",
  start(source) {
    const index = source.search(/\\[([]|\$/);
    return index < 0 ? undefined : index;
  },
  tokenizer(source) {
    const raw = formulaHere.exec(source)?.[0] ?? openingAt(source);
    return raw === undefined ? undefined : { type: "inlineFormula", raw };
  },
  renderer: ({ raw }) => asWritten(raw),
};

export const formulas = [displayFormula, inlineFormula];

/** Finds emphasis as if formulas were plain letters, and headings outside of them. */
export class FormulaTokenizer extends Tokenizer {
  override lheading(source: string): Tokens.Heading | undefined {
    const heading = super.lheading(source);
    // An `=` or a `-` on a separate line is part of the formula above it.
    return heading && (firstDisplay(source) ?? Infinity) < heading.raw.length ? undefined : heading;
  }

  override emStrong(source: string, masked: string, before?: string): Tokens.Em | Tokens.Strong | undefined {
    return super.emStrong(source, maskFormulas(source, masked), before);
  }
}

/** marked looks for emphasis in `masked`, which is as long as the whole text; `source` is the end of the text. */
function maskFormulas(source: string, masked: string): string {
  if (!/\\[([]|\$/.test(source)) return masked;
  const from = masked.length - source.length;
  let result = masked.slice(0, from);
  let done = 0;
  for (const { 0: found, index } of source.matchAll(formula)) {
    result += masked.slice(from + done, from + index) + "a".repeat(found.length);
    done = index + found.length;
  }
  return result + masked.slice(from + done);
}

/** Where the first displayed formula behind other lines begins. */
function firstDisplay(source: string): number | undefined {
  for (const { index } of source.matchAll(displayStart)) {
    if (displayAt(source.slice(index + 1)) !== undefined) return index + 1;
  }
  return undefined;
}

function displayAt(source: string): string | undefined {
  const closed = displayed.exec(source)?.[0];
  if (closed !== undefined) return closed;
  const open = displayedOpen.exec(source);
  if (!open || (open[1] === "\\[" && isClosed(open[2]!, "[", "]"))) return undefined;
  return open[0];
}

/** An opening bracket whose end is not there, or not yet. `\(aside)` and `\[text](address)` are not formulas. */
function openingAt(source: string): string | undefined {
  const opening = source.slice(0, 2);
  if (opening === "\\(") return isClosed(source.slice(2), "(", ")") ? undefined : opening;
  if (opening === "\\[") return isClosed(source.slice(2), "[", "]") ? undefined : opening;
  return undefined;
}

/** True if a bare bracket closes what was opened in front of this text. */
function isClosed(text: string, open: string, close: string): boolean {
  let depth = 1;
  for (let index = 0; index < text.length && depth > 0; index++) {
    if (text[index] === "\\") index++;
    else if (text[index] === open) depth++;
    else if (text[index] === close) depth--;
  }
  return depth === 0;
}

/** Text as HTML, with its lines. */
export function asWritten(text: string): string {
  return escapeHtml(text).replaceAll("\n", "<br>\n");
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
