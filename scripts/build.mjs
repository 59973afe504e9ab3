// npm run build [wasm] [web] [demo]: the parts named, all of them by default.

import { main, step, StepError } from "./steps/console.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildDemo, buildPackage } from "./steps/web.mjs";

const parts = { wasm: ["engine", buildWasm], web: ["package", buildPackage], demo: ["demo page", buildDemo] };

await main(async () => {
  const asked = process.argv.slice(2);
  const unknown = asked.find((name) => !(name in parts));
  if (unknown)
    throw new StepError(`"${unknown}" is no part of the build`, `choose from: ${Object.keys(parts).join(", ")}`);
  await step("npm packages", installNodeModules);
  for (const name of asked.length ? asked : Object.keys(parts)) await step(...parts[name]);
});
