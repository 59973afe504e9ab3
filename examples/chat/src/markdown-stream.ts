/**
 * Markdown that is being written: blocks that are complete are rendered once, and only the last one is read again when
 * text arrives. Of a list, a table or a block of code only what has changed is rendered again.
 */

import { Lexer, type Token, type Tokens } from "marked";
import { markdownOptions, renderBlocks } from "./markdown.js";

/** What the last block looks like now. */
interface Live {
  /** Equal for two readings of the block that differ in nothing but their parts. */
  key: string;
  nodes: Element[];
  /** The items of a list, the rows of a table. */
  parts: { key: string; element: Element }[];
  /** What a block of code holds. */
  code: Text | null;
}

const nothing: Live = { key: "", nodes: [], parts: [], code: null };

/** Fills `place` with Markdown that grows. */
export class MarkdownStream {
  /** Characters that were read as Markdown in all updates together. */
  read = 0;
  readonly #place: HTMLElement;
  #text = "";
  /** Where the last block begins: everything before it is settled. */
  #settled = 0;
  #links: Record<string, Pick<Tokens.Link, "href" | "title">> = {};
  #live: Live = nothing;

  constructor(place: HTMLElement) {
    this.#place = place;
  }

  /** Shows `text`, which is usually the text of the last update and more. `isWhole`: nothing will follow. */
  update(text: string, isWhole = false): void {
    const source = text.replace(/\r\n?/g, "\n");
    if (!source.startsWith(this.#text)) this.#restart();
    this.#text = source;

    const tail = source.slice(this.#settled);
    const lexer = new Lexer(markdownOptions());
    Object.assign(lexer.tokens.links, this.#links);
    const blocks = lexer.blockTokens(tail, lexer.tokens);
    this.read += tail.length;
    const starts = startsOf(blocks);
    const settling = settledBlocks(blocks, starts, tail, isWhole);
    const complete = inlineReader(lexer);

    const newLinks = linksIn(blocks.slice(0, settling), this.#links);
    if (this.#usesEarlier(newLinks)) {
      // An address came after the text that refers to it.
      this.#restart();
      this.#links = { ...lexer.tokens.links };
      return this.update(text, isWhole);
    }
    Object.assign(this.#links, newLinks);

    for (const block of blocks.slice(0, settling)) {
      if (block.type === "space" || block.type === "def") continue;
      this.#show(block, complete);
      this.#live = nothing;
    }
    this.#settled += starts[settling] ?? tail.length;
    const last = blocks.slice(settling).filter(({ type }) => type !== "space" && type !== "def");
    if (last.length === 0) this.#drop();
    else if (last.length === 1) this.#show(last[0]!, complete);
    else this.#replace(last, complete);
  }

  #restart(): void {
    this.#place.replaceChildren();
    this.#text = "";
    this.#settled = 0;
    this.#links = {};
    this.#live = nothing;
  }

  /** True if a text that is settled names one of these links. */
  #usesEarlier(links: Record<string, unknown>): boolean {
    const names = Object.keys(links);
    if (names.length === 0) return false;
    const earlier = this.#text.slice(0, this.#settled).toLowerCase().replace(/\s+/g, " ");
    return names.some((name) => earlier.includes(`[${name}]`));
  }

  #drop(): void {
    for (const node of this.#live.nodes) node.remove();
    this.#live = nothing;
  }

  /** Shows several blocks that are not settled: the later ones may still become part of the first. */
  #replace(blocks: Token[], complete: (token: Token) => void): void {
    this.#drop();
    blocks.forEach(complete);
    const fragment = renderBlocks(blocks);
    this.#live = { ...nothing, nodes: [...fragment.children] };
    this.#place.append(fragment);
  }

  #show(block: Token, complete: (token: Token) => void): void {
    const key = keyOf(block);
    const live = this.#live;
    if (key === "" || key !== live.key || (block.type === "code" && !live.code)) {
      this.#replace([block], complete);
      const [element] = this.#live.nodes;
      this.#live.key = key;
      this.#live.parts = partsOf(block).map(({ key }, index) => ({ key, element: rowsOf(element)[index]! }));
      this.#live.code = block.type === "code" ? codeText(element) : null;
      return;
    }
    if (live.code) return setText(live.code, `${(block as Tokens.Code).text.replace(/\n$/, "")}\n`);
    this.#showParts(block, complete);
  }

  #showParts(block: Token, complete: (token: Token) => void): void {
    const { parts, nodes } = this.#live;
    const now = partsOf(block);
    let same = 0;
    while (same < now.length && now[same]!.key === parts[same]?.key) same++;
    for (const { element } of parts.splice(same)) element.remove();
    const changed = now.slice(same);
    if (changed.length === 0) return;
    for (const { token } of changed) complete(token);
    const [fresh] = renderBlocks([withParts(block, same)]).children;
    const added = rowsOf(fresh);
    bodyOf(nodes[0]!).append(...added);
    changed.forEach(({ key }, index) => parts.push({ key, element: added[index]! }));
  }
}

function startsOf(blocks: Token[]): number[] {
  let at = 0;
  return blocks.map(({ raw }) => (at += raw.length) - raw.length);
}

/**
 * How many of the first blocks can no longer change. A block ends where the next one begins, and what begins there is
 * certain once its first line is complete: `***` may be a rule or bold text, `#` a heading or a word. A table has two.
 */
function settledBlocks(blocks: Token[], starts: number[], text: string, isWhole: boolean): number {
  if (isWhole) return blocks.length;
  for (let index = blocks.length - 1; index > 0; index--) {
    const { type } = blocks[index]!;
    if (type === "space") continue;
    const firstLine = text.indexOf("\n", starts[index]);
    const certain = type === "table" && firstLine >= 0 ? text.indexOf("\n", firstLine + 1) : firstLine;
    if (certain >= 0) return index;
  }
  return 0;
}

/** Reads the inline Markdown of a block, which the lexer has put off. */
function inlineReader(lexer: Lexer): (token: Token) => void {
  const waiting = new Map(lexer.inlineQueue.map(({ src, tokens }) => [tokens, src]));
  const complete = (token: Token): void => {
    const { tokens, items, header, rows } = token as Tokens.Generic;
    if (tokens) {
      const source = waiting.get(tokens);
      if (source === undefined) return tokens.forEach(complete);
      waiting.delete(tokens);
      lexer.state.inRawBlock = false;
      lexer.inlineTokens(source, tokens);
      return;
    }
    items?.forEach(complete);
    header?.forEach(complete);
    rows?.forEach((row: Token[]) => row.forEach(complete));
  };
  return complete;
}

function linksIn(blocks: Token[], known: object): Record<string, Pick<Tokens.Link, "href" | "title">> {
  const links: Record<string, Pick<Tokens.Link, "href" | "title">> = {};
  for (const block of blocks) {
    if (block.type !== "def" || block.tag in known) continue;
    links[block.tag] ??= { href: block.href, title: block.title };
  }
  return links;
}

/** Empty for blocks that are rendered as one. */
function keyOf(block: Token): string {
  const { type, ordered, start, loose, header, align, lang, codeBlockStyle } = block as Tokens.Generic;
  if (type === "list") return JSON.stringify([type, ordered, start, loose]);
  if (type === "table") return JSON.stringify([type, header.map(({ text }: Tokens.TableCell) => text), align]);
  if (type === "code") return JSON.stringify([type, lang, codeBlockStyle]);
  return "";
}

function partsOf(block: Token): { key: string; token: Token }[] {
  const { type, items, rows } = block as Tokens.Generic;
  if (type === "list") {
    return (items as Tokens.ListItem[]).map((token) => ({
      key: JSON.stringify([token.raw, token.loose]),
      token,
    }));
  }
  if (type !== "table") return [];
  return (rows as Tokens.TableCell[][]).map((cells) => ({
    key: JSON.stringify(cells.map(({ text }) => text)),
    token: { type: "row", raw: "", tokens: cells as unknown as Token[] },
  }));
}

/** The block with its parts from `first` on. */
function withParts(block: Token, first: number): Token {
  if (block.type === "list") return { ...block, items: (block as Tokens.List).items.slice(first) };
  return { ...block, rows: (block as Tokens.Table).rows.slice(first), header: (block as Tokens.Table).header };
}

function bodyOf(element: Element): Element {
  if (element.tagName !== "TABLE") return element;
  return element.querySelector(":scope > tbody") ?? element.appendChild(document.createElement("tbody"));
}

function rowsOf(element: Element | undefined): Element[] {
  if (!element) return [];
  const place = element.tagName === "TABLE" ? element.querySelector(":scope > tbody") : element;
  return place ? [...place.children] : [];
}

function codeText(element: Element | undefined): Text | null {
  const code = element?.querySelector("code");
  return code?.firstChild instanceof Text ? code.firstChild : null;
}

/** Text that only grew is lengthened, so that a selection in it stays. */
function setText(node: Text, text: string): void {
  const shown = node.data.replace(/\n$/, "");
  if (text.startsWith(shown)) node.replaceData(shown.length, node.length - shown.length, text.slice(shown.length));
  else node.data = text;
}
