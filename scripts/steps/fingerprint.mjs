// Whether an output still matches its sources: a hash over the sources' contents, kept in a stamp file.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root, scratch } from "./paths.mjs";

const passedOver = new Set(["node_modules", "dist", "target", ".git", "tests", "benches"]);

function* filesUnder(path) {
  if (!statSync(path).isDirectory()) {
    yield path;
    return;
  }
  for (const entry of readdirSync(path).sort()) {
    if (!passedOver.has(entry)) yield* filesUnder(join(path, entry));
  }
}

/** A hash of the contents and names of all files below `sources`: files or folders, some of which may be missing. */
export function fingerprint(sources, ...extra) {
  const hash = createHash("sha256");
  for (const source of sources) {
    if (!existsSync(source)) {
      hash.update(`absent ${relative(root, source)}\n`);
      continue;
    }
    for (const file of filesUnder(source)) {
      hash.update(`${relative(root, file)}\n`);
      hash.update(readFileSync(file));
    }
  }
  hash.update(extra.join("\n"));
  return hash.digest("hex");
}

const stampFile = (name) => join(scratch, "stamps", name);

/** True when `outputs` exist and were made from sources with this fingerprint. */
export function isCurrent(name, mark, outputs) {
  const file = stampFile(name);
  return outputs.every((output) => existsSync(output)) && existsSync(file) && readFileSync(file, "utf8") === mark;
}

export function forget(name) {
  rmSync(stampFile(name), { force: true });
}

export function remember(name, mark) {
  mkdirSync(join(scratch, "stamps"), { recursive: true });
  writeFileSync(stampFile(name), mark);
}
