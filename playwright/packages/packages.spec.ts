/** The package, packed and installed, in everything that people build pages with: `npm run test:packages`. */

import { test } from "@playwright/test";
import { rows } from "./rows.ts";
import { runRow } from "./run-row.ts";
import { compileConsumer, typeScriptVersions } from "./types.ts";

for (const row of rows) test(row.name, ({ page }) => runRow(row, page));

for (const version of typeScriptVersions) test(`types, TypeScript ${version}`, () => compileConsumer(version));
