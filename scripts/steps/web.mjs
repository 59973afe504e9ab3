// The npm package (web/dist) and the demo page (examples/chat/dist).

import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { megabytes } from "./console.mjs";
import { fingerprint, forget, isCurrent, remember } from "./fingerprint.mjs";
import { fromRoot } from "./paths.mjs";
import { npm } from "./node-modules.mjs";

const lock = fromRoot("package-lock.json");

/** Runs the `build` script of the npm workspace in `folder` unless its sources are those of the last build. */
async function build(name, folder, result, sources) {
  const mark = fingerprint([...sources, lock]);
  if (isCurrent(name, mark, [result])) return "unchanged";
  forget(name);
  await npm(["run", "build"], { cwd: folder, log: name });
  remember(name, mark);
  return `built, ${megabytes(bytesUnder(dirname(result)))}`;
}

function bytesUnder(folder) {
  return readdirSync(folder, { recursive: true })
    .map((path) => statSync(join(folder, path)))
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + entry.size, 0);
}

export function buildPackage() {
  const folder = fromRoot("web");
  return build("package", folder, join(folder, "dist", "index.js"), [folder]);
}

export function buildDemo() {
  const folder = fromRoot("examples", "chat");
  return build("demo", folder, join(folder, "dist", "index.html"), [folder, fromRoot("web", "dist")]);
}
