// Rolls the declarations that tsc wrote to dist/types into one file, dist/index.d.ts, with only the public surface
// (docs/decisions/0021).

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

const here = dirname(fileURLToPath(import.meta.url));
const types = join(here, "dist", "types");
const file = join(here, "dist", "index.d.ts");
/** What a page's own project is likely to have; a type missing here would be missing there. */
const compilerOptions = {
  target: "ES2022",
  lib: ["ES2022", "ESNext.Disposable", "DOM"],
  module: "ESNext",
  moduleResolution: "bundler",
  types: [],
  strict: true,
};

const config = ExtractorConfig.prepare({
  configObject: {
    projectFolder: here,
    mainEntryPointFilePath: join(types, "index.d.ts"),
    compiler: { overrideTsconfig: { compilerOptions, files: [join(types, "index.d.ts")] } },
    dtsRollup: { enabled: true, untrimmedFilePath: file },
    apiReport: { enabled: false },
    docModel: { enabled: false },
    tsdocMetadata: { enabled: false },
    newlineKind: "lf",
  },
  configObjectFullPath: undefined,
  packageJsonFullPath: join(here, "package.json"),
});
const { succeeded } = Extractor.invoke(config, {
  localBuild: true,
  // Its advice about release tags and the form of comments does not apply here; its errors do.
  messageCallback: (message) => void (message.logLevel !== "error" && (message.handled = true)),
});
if (!succeeded) process.exit(1);
writeFileSync(file, publicSurface(readFileSync(file, "utf8")));
rmSync(types, { recursive: true });

/**
 * Leaves out private members, which have no types in declarations and no use there, except for a private constructor;
 * and comments about a source file as a whole, which come before those of its first declaration.
 */
function publicSurface(text) {
  const comment = String.raw`/\*\*(?:(?!\*/)[^])*\*/\n`;
  const member = new RegExp(`^ {4}(?:${comment} {4})?private (?!constructor)[^;{}]*;\n`, "gm");
  const left = text.replace(member, "").replace(new RegExp(`${comment}(?=/\\*\\*)`, "g"), "");
  // `Symbol.asyncDispose` is in no edition of the language yet.
  return `/// <reference lib="esnext.disposable" />\n\n${left}`;
}
