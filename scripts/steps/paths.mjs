// Where things are. Everything else asks here, so that a folder is named once.

import { fileURLToPath } from "node:url";
import { join, resolve } from "node:path";

export const root = fileURLToPath(new URL("../../", import.meta.url)).replace(/[\\/]$/, "");

export const fromRoot = (...parts) => join(root, ...parts);

/** The folder of GGUF files: `CHORD_MODELS`, or `models/` in the repository. */
export const modelsFolder = process.env.CHORD_MODELS ? resolve(process.env.CHORD_MODELS) : fromRoot("models");

/** Stamps, logs and other by-products of these scripts; `cargo clean` clears them too. */
export const scratch = fromRoot("target", "scripts");
