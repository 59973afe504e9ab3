// npm run build [wasm] [web] [demo] [bench]: the parts named; by default all but `bench`, the page of
// `npm run bench -- --page`. `wasm:threads` is one artifact of `wasm`.

import { main, step, StepError } from "./steps/console.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { artifacts } from "./steps/artifacts.mjs";
import { buildBenchPage } from "./steps/bench-page.mjs";
import { buildArtifact, buildWasm } from "./steps/wasm.mjs";
import { buildDemo, buildPackage } from "./steps/web.mjs";

const whole = { wasm: ["engine", buildWasm], web: ["package", buildPackage], demo: ["demo page", buildDemo] };
const parts = { ...whole, bench: ["bench page", buildBenchPage] };
for (const name of Object.keys(artifacts)) parts[`wasm:${name}`] = [`engine, ${name}`, () => buildArtifact(name)];

await main(async () => {
  const asked = process.argv.slice(2);
  const unknown = asked.find((name) => !(name in parts));
  if (unknown)
    throw new StepError(`"${unknown}" is no part of the build`, `choose from: ${Object.keys(parts).join(", ")}`);
  await step("npm packages", installNodeModules);
  for (const name of asked.length ? asked : Object.keys(whole)) await step(...parts[name]);
});
