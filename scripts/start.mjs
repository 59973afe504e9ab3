// npm start [-- --model FILE_OR_URL] [--port N]: builds what has changed, fetches the default model, serves the demo.

import { parseArgs } from "node:util";
import { chooseModel, serveDemo } from "./server/demo.mjs";
import { line, main, step, StepError } from "./steps/console.mjs";
import { fetchModel } from "./steps/model.mjs";
import { smollm2 } from "./steps/models.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildDemo, buildPackage } from "./steps/web.mjs";

function readOptions() {
  try {
    const { values } = parseArgs({
      options: { model: { type: "string" }, port: { type: "string", default: "5173" }, host: { type: "string" } },
    });
    const port = Number(values.port);
    if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error(`"${values.port}" is no port`);
    return { ...values, port };
  } catch (error) {
    throw new StepError(error.message, "usage: npm start -- [--model FILE_OR_URL] [--port N] [--host ADDRESS]");
  }
}

await main(async () => {
  const options = readOptions();
  await step("npm packages", installNodeModules);
  await step("engine", buildWasm);
  await step("package", buildPackage);
  await step("demo page", buildDemo);
  if (options.model === undefined) await step("model", () => fetchModel(smollm2));
  let address;
  await step("server", async () => {
    const model = chooseModel(options.model);
    const server = await serveDemo(model, options.port, options.host ?? "localhost");
    address = `http://${options.host ?? "localhost"}:${server.address().port}`;
    return `${model.entry.title}, Ctrl+C ends it`;
  });
  line(`\n  Ready: ${address}`);
  // The minimal page names the default model.
  if (options.model === undefined) line(`  A page in one file: ${address}/examples/minimal/`);
  line("");
});
