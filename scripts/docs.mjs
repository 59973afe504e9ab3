// npm run docs: the pages of the crates' and of the SDK's API, in target/docs. A warning, such as a link to nothing, is
// an error.

import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { line, main, step } from "./steps/console.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { fromRoot } from "./steps/paths.mjs";
import { hostCargo } from "./steps/rust.mjs";
import { run } from "./steps/shell.mjs";

const output = fromRoot("target", "docs");
/** TypeDoc needs the compiler's JavaScript interface, which TypeScript 7 lacks: this workspace has TypeScript 6. */
const workspace = fromRoot("scripts", "docs");

async function rustdoc() {
  const { cargo, env } = await hostCargo();
  const target = process.env.CARGO_TARGET_DIR ?? fromRoot("target");
  await run(cargo, ["doc", "--no-deps", "--workspace"], {
    env: { ...env, CARGO_TARGET_DIR: target, RUSTDOCFLAGS: "-D warnings" },
    log: "cargo-doc",
  });
  cpSync(join(target, "doc"), join(output, "rust"), { recursive: true });
}

async function typedoc() {
  const program = join(workspace, "node_modules", "typedoc", "bin", "typedoc");
  await run(process.execPath, [program, "--options", join(workspace, "typedoc.json")], { log: "typedoc" });
}

await main(async () => {
  await step("npm packages", installNodeModules);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  await step("rustdoc", rustdoc);
  await step("typedoc", typedoc);
  cpSync(join(workspace, "index.html"), join(output, "index.html"));
  line(`\n  Open ${join(output, "index.html")}`);
});
