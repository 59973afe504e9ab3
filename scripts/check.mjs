// npm run check: everything that can be checked without running anything: format, lints, types, prose.

import { main, step } from "./steps/console.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildPackage } from "./steps/web.mjs";
import { checkProse } from "./tests/prose.mjs";
import { checkFormat, clippy } from "./tests/rust.mjs";
import { checkPrettier, oxlint, typeCheck } from "./tests/typescript.mjs";

await main(async () => {
  await step("npm packages", installNodeModules);
  await step("cargo fmt", checkFormat);
  await step("prettier", checkPrettier);
  await step("prose", checkProse);
  await step("cargo clippy", clippy);
  await step("engine", buildWasm);
  await step("package", buildPackage);
  await step("tsc", typeCheck);
  await step("oxlint", oxlint);
});
