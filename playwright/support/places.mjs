// Where test data is on the disk. The tests and their server read it here.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fromRoot, modelsFolder, scratch } from "../../scripts/steps/paths.mjs";

export const port = Number(process.env.CHORD_TEST_PORT ?? 5190);

const largerSet = process.env.CHORD_GOLDEN;

/** Folders of the reference's results: the repository's own, then the larger set, which `CHORD_GOLDEN` names. */
export const goldenFolders = [fromRoot("tests", "golden"), ...(largerSet ? [largerSet] : [])];

/**
 * The path of one of the reference's results; null if it belongs to the larger set, and `CHORD_GOLDEN` is not set.
 *
 * @param {string} name such as "tiny/llama.Q4_0.json"
 */
export function findGolden(name) {
  const path = goldenFolders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (!path && largerSet) throw new Error(`${name} is neither in tests/golden nor in ${largerSet}`);
  return path ?? null;
}

/** The smallest model: a Llama of 2 layers with random weights. */
export const tinyModel = fromRoot("tests", "golden", "tiny", "llama.Q4_0.gguf");

export const models = modelsFolder;

/** Shader variants as browsers get them, written by the Rust tests of chord-gpu. */
export const shaders = process.env.CHORD_SHADER_DUMP ?? join(scratch, "shaders");

/** Bad GGUF files, and an index of what each must be refused with. */
export const hostile = made("hostile");

/** The minimal page with the package on another origin. */
export const elsewhere = made("elsewhere");

export const fullTier = process.env.CHORD_FULL === "1";

function made(name) {
  const folder = join(scratch, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
