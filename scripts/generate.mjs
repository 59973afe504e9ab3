// npm run generate: writes the files that are generated from the Rust sources; `npm test` checks that they are current.

import { main, step } from "./steps/console.mjs";
import { hostCargo } from "./steps/rust.mjs";
import { run } from "./steps/shell.mjs";

const files = [
  { crate: "chord-wasm", test: "generated", name: "web/src/engine-*.ts and the table in web/README.md" },
  { crate: "chord-cli", test: "support", name: "docs/support.md" },
];

await main(async () => {
  const { cargo, env } = await hostCargo();
  for (const { crate, test, name } of files) {
    const settings = { env: { ...env, CHORD_WRITE: "1" }, log: `generate-${crate}` };
    await step(name, async () => void (await run(cargo, ["test", "-p", crate, "--test", test], settings)));
  }
});
