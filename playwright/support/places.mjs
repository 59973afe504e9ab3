// Where test data is on the disk. The tests and their server read it here.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fromRoot, modelsFolder, scratch } from "../../scripts/steps/paths.mjs";

export const port = Number(process.env.CHORD_TEST_PORT ?? 5190);

/** The reference's results: the larger set, whose folder `CHORD_GOLDEN` names, or else the part in the repository. */
export const goldenFolder = process.env.CHORD_GOLDEN ?? fromRoot("tests", "golden");

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
