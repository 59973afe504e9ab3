// Checks prose: comments and Markdown end at column 120, documentation uses plain words, and its links lead to files.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { StepError } from "../steps/console.mjs";
import { root } from "../steps/paths.mjs";
import { capture } from "../steps/shell.mjs";

const columns = 120;
const comment = /^\s*(\/\/|\/?\*|#)/;
/** A table's row, or text that cannot be broken: an address, or one piece of code. */
const unbreakable = /^\||^\s*\/\/[/!] \||https?:\/\/|^\s*(\/\/[/!]?|\*|#)?\s*`[^`]+`\s*$/;
const words = /\b(nobody|whoever|dealt|strips?|slabs?|foretells?|taken rows)\b/i;
const checked = /\.(md|rs|ts|mjs|wgsl|py|css)$/;

/** What is wrong with the prose of a file, as `line: fault`. */
export function faults(path, text) {
  const found = [];
  const markdown = path.endsWith(".md");
  let code = false;
  for (const [index, line] of text.split("\n").entries()) {
    const report = (fault) => found.push(`${index + 1}: ${fault}`);
    if (markdown && line.trimStart().startsWith("```")) code = !code;
    const isProse = markdown ? !code : comment.test(line);
    if (!isProse) continue;
    const length = [...line].length;
    if (length > columns && !unbreakable.test(line)) report(`${length} columns, at most ${columns}`);
    const word = markdown && words.exec(line);
    if (word) report(`"${word[0]}": say it with a plain word (docs/glossary.md)`);
  }
  return found;
}

/** The relative links of a Markdown text, without those into itself. */
export function links(text) {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target.replace(/#.*/, ""))
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target));
}

/** `npm run check`'s step: every tracked text file. */
export async function checkProse() {
  const { output } = await capture("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    log: "git-ls",
  });
  const paths = output.split("\n").filter((path) => checked.test(path) && existsSync(join(root, path)));
  const found = paths.flatMap((path) => {
    const text = readFileSync(join(root, path), "utf8");
    const broken = path.endsWith(".md")
      ? links(text).filter((target) => !existsSync(join(root, dirname(path), decodeURI(target))))
      : [];
    return [...faults(path, text), ...broken.map((target) => `no such file: ${target}`)].map(
      (fault) => `${path}:${fault}`,
    );
  });
  if (found.length > 0) throw new StepError(found.join("\n"), "rewrite the lines above");
  return `${paths.length} files`;
}
