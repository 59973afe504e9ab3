// The demo page over HTTP, with the models of this machine.

import { existsSync, statSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { StepError } from "../steps/console.mjs";
import { smollm2 } from "../steps/models.mjs";
import { fromRoot, modelsFolder } from "../steps/paths.mjs";
import { listen, staticServer } from "./static-server.mjs";

/**
 * What `--model` names: an entry of the page's list of models, and the route that serves it where it is a local file.
 * Without a name it is the default model in the models folder.
 *
 * @param {string} [name] a path or an http(s) address
 */
export function chooseModel(name) {
  if (name && /^https?:\/\//.test(name)) {
    const title = decodeURIComponent(basename(new URL(name).pathname)) || name;
    return { entry: { title: title.replace(/\.gguf$/i, ""), source: name }, routes: [] };
  }
  const file = name ? resolve(name) : resolve(modelsFolder, smollm2.file);
  if (!existsSync(file) || !statSync(file).isFile()) {
    throw new StepError(`there is no file ${file}`, "give --model the path of a GGUF file, or an address");
  }
  const prefix = `/models/${basename(file)}`;
  return {
    entry: {
      title: name ? basename(file, extname(file)) : smollm2.title,
      bytes: statSync(file).size,
      source: `models/${encodeURIComponent(basename(file))}`,
    },
    routes: [{ prefix, file }],
  };
}

/** The minimal page where it is in the repository, and the package that it imports. */
export const minimalRoutes = [
  { prefix: "/examples/minimal/", folder: fromRoot("examples", "minimal") },
  { prefix: "/web/dist/", folder: fromRoot("web", "dist") },
];

/** Serves the built demo; `models.json`, the page's list of models, holds `model` instead of the hosted page's list. */
export async function serveDemo(model, port, host) {
  const server = staticServer([
    { prefix: "/models.json", json: () => ({ models: [model.entry] }) },
    ...model.routes,
    { prefix: "/models/", folder: modelsFolder },
    ...minimalRoutes,
    { prefix: "/", folder: fromRoot("examples", "chat", "dist") },
  ]);
  try {
    return await listen(server, port, host);
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error;
    throw new StepError(
      `port ${port} is taken`,
      `end the program that uses it, or run: npm start -- --port ${port + 1}`,
    );
  }
}
