/** A host of the demo for one test: in any folder, with or without headers, replaced by another build, switched off. */

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listen, staticServer } from "../../scripts/server/static-server.mjs";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { goldenFolders, models } from "./places.mjs";

const built = fromRoot("examples", "chat", "dist");

export interface HostOptions {
  /** The folder of the host in which the page is. */
  folder?: string;
  /** False where the host sends no headers of cross-origin isolation. */
  isolated?: boolean;
}

/** The model that the host lists. */
const listedModel = "SmolLM2-135M-Instruct.Q4_1.gguf";

export class Host {
  /** The page's address. */
  readonly page: string;
  /** Requested paths, relative to the page's folder. */
  readonly asked: string[] = [];
  readonly #server: ReturnType<typeof staticServer>;
  readonly #served: string;

  private constructor(server: ReturnType<typeof staticServer>, folder: string, served: string, asked: string[]) {
    this.#server = server;
    this.#served = served;
    this.asked = asked;
    this.page = `http://localhost:${(server.address() as AddressInfo).port}${folder}`;
  }

  static async start({ folder = "/", isolated = true }: HostOptions = {}): Promise<Host> {
    const served = mkdtempSync(join(tmpdir(), "chord-host-"));
    cpSync(built, served, { recursive: true });
    const asked: string[] = [];
    const list = { models: [{ title: "SmolLM2", source: `models/${listedModel}` }] };
    const server = staticServer([
      { prefix: `${folder}models.json`, json: () => list, isolated },
      { prefix: `${folder}models/`, folder: models, isolated },
      { prefix: `${folder}golden/`, folder: goldenFolders, isolated },
      { prefix: folder, folder: served, isolated },
    ]);
    server.prependListener("request", ({ url = "" }: { url?: string }) => asked.push(url.slice(folder.length)));
    await listen(server, 0);
    return new Host(server, folder, served, asked);
  }

  /** Stops answering, as if the network were gone. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.#served, { recursive: true, force: true });
  }

  /** Replaces the build by another one, whose assets all have new names. */
  replaceBuild(): void {
    const assets = join(this.#served, "assets");
    const renamed = new Map<string, string>();
    for (const name of readdirSync(assets)) {
      const hash = /-([\w-]{8})\.\w+$/.exec(name)?.[1];
      if (hash) renamed.set(hash, [...hash].reverse().join(""));
    }
    const page = readFileSync(join(this.#served, "index.html"), "utf8");
    const version = /name="version" content="(\w+)"/.exec(page)![1]!;
    renamed.set(version, [...version].reverse().join(""));
    const text = (content: string) => [...renamed].reduce((all, [from, to]) => all.replaceAll(from, to), content);
    for (const file of ["index.html", "service-worker.js", ...readdirSync(assets).map((name) => `assets/${name}`)]) {
      const path = join(this.#served, file);
      if (/\.(html|js|css)$/.test(file)) writeFileSync(path, text(readFileSync(path, "utf8")));
      if (text(file) !== file) renameSync(path, join(this.#served, text(file)));
    }
    if (!existsSync(join(this.#served, "index.html"))) throw new Error("the build has no page");
  }
}
