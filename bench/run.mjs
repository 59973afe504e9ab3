// @ts-check
// npm run bench: compares this engine with others, in one run, on this machine. README.md says what is measured, how.

import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { line, main } from "../scripts/steps/console.mjs";
import { measureAgainst } from "./against.mjs";
import { measureCeilings } from "./ceilings.mjs";
import { servePage } from "./cpu/serve.mjs";
import { measureLoad } from "./load.mjs";
import { measureNative } from "./native.mjs";
import { readOptions, usage } from "./options.mjs";
import { measureSpeed } from "./speed.mjs";
import { measureWebKit } from "./webkit.mjs";

const benchmarks = {
  speed: measureSpeed,
  load: measureLoad,
  native: measureNative,
  against: measureAgainst,
  ceilings: measureCeilings,
  webkit: measureWebKit,
};

await main(async () => {
  const options = readOptions();
  if (options.help) return line(usage);
  if (options.what === "page") return servePage(options);
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`;
  const measured = await benchmarks[/** @type {keyof typeof benchmarks} */ (options.what)](options);
  const json = JSON.stringify({ what: options.what, machine, date: new Date().toISOString(), ...measured });
  if (options.json) writeFileSync(options.json, `${json}\n`);
  else line(json);
});
