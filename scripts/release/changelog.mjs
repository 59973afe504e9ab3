// CHANGELOG.md as text: what was released, what is about to be.

import { StepError } from "../steps/console.mjs";

const heading = "## Unreleased";
const released = /^## (\d+\.\d+\.\d+\S*) \(\d{4}-\d\d-\d\d\)$/m;

/** The version of the newest dated section, or null. */
export function newestRelease(changelog) {
  return released.exec(changelog)?.[1] ?? null;
}

/** What stands under "Unreleased". */
export function unreleased(changelog) {
  const start = changelog.search(/^## Unreleased$/m);
  if (start < 0) throw new StepError(`CHANGELOG.md has no line "${heading}"`, "put it above the newest release");
  const body = changelog.slice(start + heading.length);
  const end = body.search(/^## /m);
  return (end < 0 ? body : body.slice(0, end)).trim();
}

/** Makes "Unreleased" the section of `version`, under a new and empty one. `date` is as in 2026-11-30. */
export function release(changelog, version, date) {
  if (unreleased(changelog) === "") {
    throw new StepError('nothing stands under "Unreleased" in CHANGELOG.md', "write what users will notice");
  }
  return changelog.replace(/^## Unreleased$/m, `${heading}\n\n## ${version} (${date})`);
}
