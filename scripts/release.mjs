// npm run release -- X.Y.Z: makes this tree a release: one version everywhere, a dated section in CHANGELOG.md, and the
// npm package, packed and checked. It commits and publishes nothing, and says what to do next.

import { readFileSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { line, main, step, StepError } from "./steps/console.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { fromRoot, root } from "./steps/paths.mjs";
import { capture, run } from "./steps/shell.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildPackage } from "./steps/web.mjs";
import { newestRelease, release } from "./release/changelog.mjs";
import { checkTarball, pack } from "./release/package.mjs";

const read = (file) => readFileSync(fromRoot(file), "utf8");
const write = (file, text) => writeFileSync(fromRoot(file), text);

async function needCleanTree() {
  const { code, output } = await capture("git", ["status", "--porcelain"], { log: "git" });
  if (code !== 0) throw new StepError("this is no git repository", "run this in a clone");
  if (output.trim() !== "") {
    throw new StepError(`the tree is not clean:\n${output.trimEnd()}`, "commit or stash these changes first");
  }
}

/** Sets the version in every file that has it; returns their names. */
async function setVersion(from, to, { edits, setAddresses }) {
  const changed = [];
  const change = (file, edit) => {
    const text = read(file);
    const edited = edit(text, from, to);
    if (edited === text) return;
    write(file, edited);
    changed.push(file);
  };
  for (const [file, edit] of Object.entries(edits)) change(file, edit);
  const { output } = await run("git", ["ls-files", "examples", "README.md", "web/README.md"], { log: "git" });
  for (const file of output.trim().split("\n")) {
    if (/\.(html|json|md|mjs|ts)$/.test(file)) change(file, setAddresses);
  }
  return changed;
}

await main(async () => {
  const [version, ...rest] = process.argv.slice(2);
  if (version === undefined || rest.length > 0) {
    throw new StepError("which version?", "run: npm run release -- X.Y.Z");
  }
  await step("npm packages", installNodeModules);
  // This module imports semver, which is one of them.
  const versions = await import("./release/version.mjs");
  const current = versions.workspaceVersion(read("Cargo.toml"));
  await step("clean tree", needCleanTree);
  await step("version", () => {
    versions.checkVersion(version, { current, released: newestRelease(read("CHANGELOG.md")) });
    return `${version} after ${current}`;
  });
  await step("CHANGELOG.md", () => {
    write("CHANGELOG.md", release(read("CHANGELOG.md"), version, new Date().toISOString().slice(0, 10)));
  });
  let tarball;
  try {
    await step("files with the version", async () => (await setVersion(current, version, versions)).join(", "));
    await step("engine", buildWasm);
    await step("package", buildPackage);
    await step("tarball", async () => {
      tarball = await pack(version);
      return checkTarball(tarball, version);
    });
  } catch (error) {
    line("       The version and CHANGELOG.md are changed already: `git restore .` takes that back.");
    throw error;
  }
  line(`
Nothing was committed or published. What to do next:
  npm test                                   # and npm run test:packages
  git commit -am "Release ${version}"
  git tag -a v${version} -m "wasm-chord ${version}"
  git push --follow-tags
  npm publish ${relative(root, tarball)} --access public
Then make a release of the tag on GitHub, with the section of CHANGELOG.md as its text.`);
});
