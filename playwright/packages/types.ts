/** Whether a program that uses all of the package compiles, in a project that checks declarations too. */

import { join } from "node:path";
import { expect } from "@playwright/test";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { capture } from "../../scripts/steps/shell.mjs";
import { makeProject } from "./projects.ts";

/** The oldest version that is tried, some in between, and the newest; `npm test` tries the first and our own. */
export const typeScriptVersions = ["5.4.5", "5.6.3", "5.9.3", "6.0.3", "7.0.2"];

/** How a project can find modules. */
const resolutions = [
  ["esnext", "bundler"],
  ["node16", "node16"],
  ["nodenext", "nodenext"],
] as const;

const strictness = [
  "--strict",
  "--noUncheckedIndexedAccess",
  "--exactOptionalPropertyTypes",
  "--skipLibCheck",
  "false",
];

/** Compiles it without types of WebGPU or of Node; with the repository's own TypeScript where no version is given. */
export async function compileConsumer(version?: string): Promise<void> {
  const typescript = version ?? typeScriptVersions[0]!;
  const root = await makeProject({
    name: `types-${typescript}`,
    fixtures: ["types"],
    dependencies: { typescript },
  });
  const compiler = join(version ? root : fromRoot(), "node_modules", "typescript", "bin", "tsc");
  const options = ["--target", "es2022", "--lib", "ES2022,DOM", "--noEmit", ...strictness];
  for (const [module, resolution] of resolutions) {
    const { code, output } = await capture(
      process.execPath,
      [compiler, ...options, "--module", module, "--moduleResolution", resolution, "-p", "."],
      { cwd: root, log: `types-${typescript}` },
    );
    expect(code, `${module}, ${resolution}:\n${output}`).toBe(0);
  }
}
