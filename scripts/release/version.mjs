// The one version of the crates and of the npm package: where it stands, and how it is set there.

import semver from "semver";
import { StepError } from "../steps/console.mjs";

const packageName = "@querent-ai/wasm-chord";

/** Refuses an invalid version, or one not newer than `released` (null before the first release) or below `current`. */
export function checkVersion(version, { current, released }) {
  if (semver.valid(version) !== version) {
    throw new StepError(`"${version}" is no version`, "name one as in: npm run release -- 1.2.3");
  }
  if (released !== null && !semver.gt(version, released)) {
    throw new StepError(`${version} is not newer than ${released}, which was released`, "name a newer one");
  }
  if (semver.lt(version, current)) {
    throw new StepError(`${version} is older than ${current}, which the package says`, "name a newer one");
  }
}

/** The version of Cargo.toml's workspace. */
export function workspaceVersion(manifest) {
  return inWorkspace(manifest).version;
}

function inWorkspace(manifest) {
  const found = /(^\[workspace\.package\]$[^[]*?^version = ")([^"]+)"/m.exec(manifest);
  if (!found) throw new StepError("Cargo.toml has no [workspace.package] with a version", "put it back");
  return { start: found.index + found[1].length, version: found[2] };
}

/** How each file is rewritten: its text, the version there, the new one → its new text. */
export const edits = {
  "Cargo.toml"(text, from, to) {
    const { start } = inWorkspace(text);
    return text.slice(0, start) + to + text.slice(start + from.length);
  },
  // Crates of the workspace are those without a source.
  "Cargo.lock"(text, from, to) {
    const blocks = text.split(/^(?=\[\[package\]\]$)/m);
    return blocks
      .map((block) =>
        /^source = /m.test(block) ? block : block.replace(`\nversion = "${from}"`, `\nversion = "${to}"`),
      )
      .join("");
  },
  "web/package.json": (text, _from, to) => json(text, (manifest) => (manifest.version = to)),
  "package-lock.json": (text, _from, to) => json(text, (lock) => (lock.packages.web.version = to)),
};

function json(text, change) {
  const value = JSON.parse(text);
  change(value);
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Addresses of the package at a version, as on a CDN, in examples and in what is read about it. */
export function setAddresses(text, from, to) {
  return text.replaceAll(`${packageName}@${from}`, `${packageName}@${to}`);
}
