// WebKitGTK, by WebDriver. So little of the protocol is needed that `fetch` suffices.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout } from "node:timers/promises";
import { prepareWebKit } from "./installed.mjs";

/** Longest that a function of a test may run in a page. */
const PATIENCE_MS = 600_000;

/**
 * Starts WebKit on a virtual display, with an empty profile that is deleted with it.
 *
 * @param {boolean} isolated whether its pages will be cross-origin isolated; if so, they have SharedArrayBuffer, as in
 * Safari
 * @returns {Promise<{
 *   name: string,
 *   artifact: string,
 *   open(url: string): Promise<unknown>,
 *   run<A, R>(work: (argument: A) => R | Promise<R>, argument: A): Promise<R>,
 *   screenshot(path: string): Promise<unknown>,
 *   close(): Promise<void>,
 * }>} `artifact` is the one that a page's load begins with. `run` executes a function in the page: it sees nothing
 * of this module but its argument, which is plain data.
 */
export async function openWebKit(isolated) {
  const { driver, display, browser } = await prepareWebKit();
  const started = [];
  const close = async () => {
    for (const child of started.reverse()) {
      child.kill();
      if (child.exitCode === null) await new Promise((resolve) => child.once("exit", resolve));
    }
  };
  try {
    const screen = await startDisplay(display, started);
    const port = await freePort();
    const env = { ...process.env, DISPLAY: screen, GDK_BACKEND: "x11", LIBGL_ALWAYS_SOFTWARE: "1", NO_AT_BRIDGE: "1" };
    // Safari sets this option in the process of an isolated page. WebKitGTK 2.50 starts such a process without it.
    if (isolated) env.JSC_useSharedArrayBuffer = "1";
    started.push(spawn(driver, [`--port=${port}`, "--host=127.0.0.1"], { env, stdio: "ignore" }));
    const session = await newSession(`http://127.0.0.1:${port}`, browser);
    const { browserName, browserVersion } = session.capabilities;
    return {
      name: `${browserName} ${browserVersion}`,
      artifact: isolated ? "threads-simd128" : "baseline",
      open: (url) => session.send("POST", "url", { url }),
      run: (work, argument) => execute(session, work, argument),
      screenshot: async (path) => writeFile(path, Buffer.from(await session.send("GET", "screenshot"), "base64")),
      async close() {
        await session.send("DELETE", "").catch(() => undefined);
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Xvfb chooses a number and writes it to the descriptor that it was given. */
async function startDisplay(program, started) {
  const child = spawn(program, ["-displayfd", "3", "-screen", "0", "1280x900x24", "-nolisten", "tcp"], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  started.push(child);
  const number = await new Promise((resolve, reject) => {
    child.stdio[3].once("data", (data) => resolve(String(data).trim()));
    child.once("exit", () => reject(new Error("Xvfb ended at once")));
  });
  return `:${number}`;
}

async function newSession(driver, browser) {
  const options = { binary: browser, args: ["--automation"] };
  const body = { capabilities: { alwaysMatch: { "webkitgtk:browserOptions": options } } };
  const { sessionId, capabilities } = await whenItListens(() => request("POST", `${driver}/session`, body));
  const send = (method, command, body) => request(method, `${driver}/session/${sessionId}/${command}`, body);
  await send("POST", "timeouts", { script: PATIENCE_MS, pageLoad: 60_000, implicit: 0 });
  return { capabilities, send };
}

async function whenItListens(ask) {
  for (let tries = 0; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof TypeError) || tries === 100) throw error;
      await setTimeout(100);
    }
  }
}

async function request(method, url, body) {
  const answer = await fetch(url.replace(/\/$/, ""), {
    method,
    headers: { "Content-Type": "application/json" },
    ...(method === "POST" ? { body: JSON.stringify(body ?? {}) } : {}),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const { value } = await answer.json();
  if (answer.ok) return value;
  throw new Error(`${value.error}: ${value.message}`);
}

async function execute({ send }, work, argument) {
  const script = `
    const [argument, done] = arguments;
    Promise.resolve().then(() => (${work})(argument)).then(
      (value) => done({ value: value === undefined ? null : value }),
      (error) => done({ error: String(error), code: error?.code, stack: error?.stack }),
    );`;
  const found = await send("POST", "execute/async", { script, args: [argument ?? null] });
  if ("value" in found) return found.value;
  throw new Error(`${found.code ? `${found.code}: ` : ""}${found.error}`);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
