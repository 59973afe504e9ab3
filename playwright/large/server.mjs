// node server.mjs PORT: serves synthetic models of any size at /MIB-TYPE.gguf. Their bytes are made as they are read,
// by the program `synthetic-gguf` of rust/testkit.

import { spawn, spawnSync } from "node:child_process";
import { listen, staticServer } from "../../scripts/server/static-server.mjs";
import { fromRoot } from "../../scripts/steps/paths.mjs";

const program = fromRoot("target", "release", "synthetic-gguf");

function made(name) {
  const [, mebibytes, type] = /^(\d+)-(\w+)\.gguf$/.exec(name) ?? [];
  if (!type) return null;
  const { status, stdout } = spawnSync(program, ["size", mebibytes, type], { encoding: "utf8" });
  if (status !== 0) return null;
  const read = (start, end) => {
    const range = [String(start), String(end)];
    // A reader that leaves closes the pipe, which ends the program.
    return spawn(program, ["read", mebibytes, type, ...range], { stdio: ["ignore", "pipe", "ignore"] }).stdout;
  };
  return { size: Number(stdout), etag: `"${name}"`, read };
}

const headers = { "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Range, ETag" };
await listen(staticServer([{ prefix: "/", made }], { headers }), Number(process.argv[2]));
