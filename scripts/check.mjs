// npm run check: what can be said without running anything: format, lints, types.

import { main, step } from "./steps/console.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildPackage } from "./steps/web.mjs";
import { checkFormat, clippy } from "./tests/rust.mjs";
import { checkPrettier, oxlint, typeCheck } from "./tests/typescript.mjs";

await main(async () => {
  await step("npm packages", installNodeModules);
  await step("cargo fmt", checkFormat);
  await step("prettier", checkPrettier);
  await step("cargo clippy", clippy);
  await step("engine", buildWasm);
  await step("package", buildPackage);
  await step("tsc", typeCheck);
  await step("oxlint", oxlint);
});
