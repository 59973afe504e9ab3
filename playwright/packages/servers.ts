/** Servers of the projects: a framework's own, or a static one. None of them outlives its test. */

import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { listen, staticServer } from "../../scripts/server/static-server.mjs";

export interface Served {
  url: string;
  stop(): Promise<void>;
}

const START_MS = 120_000;
const running = new Set<ChildProcess>();
process.on("exit", () => running.forEach((child) => signal(child, "SIGKILL")));

/** Starts a server's script on a free port (`PORT` in `args`), and waits until it answers. */
export async function startServer(cwd: string, args: string[], env: Record<string, string> = {}): Promise<Served> {
  const port = await freePort();
  const url = `http://localhost:${port}/`;
  const child = spawn(
    process.execPath,
    args.map((arg) => arg.replace("PORT", String(port))),
    {
      cwd,
      // A separate process group, so that the server's children end with it.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_ENV: undefined, NO_COLOR: "1", NEXT_TELEMETRY_DISABLED: "1", ...env },
    },
  );
  running.add(child);
  let output = "";
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (output += text));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async () => {
    signal(child, "SIGTERM");
    await Promise.race([ended, setTimeout(5_000)]);
    signal(child, "SIGKILL");
    running.delete(child);
  };
  const deadline = Date.now() + START_MS;
  while (!(await answers(url))) {
    if (child.exitCode === null && Date.now() < deadline) {
      await setTimeout(200);
      continue;
    }
    await stop();
    throw new Error(`${args.join(" ")} did not answer at ${url}:\n${output}`);
  }
  return { url, stop };
}

/** Serves a folder as any static host does, with additional headers. */
export async function serveFolder(folder: string, headers: Record<string, string> = {}): Promise<Served> {
  const server = staticServer([{ prefix: "/", folder, isolated: false }], { headers });
  await listen(server, 0);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}/`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(60_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await listen(server, 0);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** To the whole group; the process may have ended already. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name);
  } catch {
    // It has.
  }
}
