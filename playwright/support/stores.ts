/** The package's own stores, in a worker of a plain page, where tests can reach and damage what the SDK hides. */

import { expect, type Page } from "@playwright/test";
import { rolldown } from "rolldown";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import type { StoreCommands } from "../../web/src/testing/store-worker.ts";

declare global {
  var stores: { start(script: string): void; call(command: string, args?: unknown): Promise<unknown> };
}

type Name = keyof StoreCommands;
type Arguments<K extends Name> = Parameters<StoreCommands[K]>[0];

let script: Promise<string> | undefined;

/** One script without imports, built from the sources. */
async function workerScript(): Promise<string> {
  const build = await rolldown({
    cwd: fromRoot("web"),
    input: "src/testing/store-worker.ts",
    platform: "browser",
    logLevel: "silent",
  });
  const { output } = await build.generate({ format: "esm" });
  await build.close();
  return output[0].code;
}

/** A page with such a worker. */
export class StorePage {
  private constructor(readonly page: Page) {}

  static async open(page: Page): Promise<StorePage> {
    await page.goto("/pages/store.html");
    await expect(page).toHaveTitle("ready");
    const stores = new StorePage(page);
    await stores.restart();
    return stores;
  }

  /** Another worker in place of this one, which is ended in the middle of whatever it does. */
  async restart(): Promise<void> {
    const code = await (script ??= workerScript());
    await this.page.evaluate((code) => stores.start(code), code);
  }

  call<K extends Name>(command: K, args?: Arguments<K>): Promise<Awaited<ReturnType<StoreCommands[K]>>> {
    return this.page.evaluate(([command, args]) => stores.call(command, args), [command, args] as const) as Promise<
      Awaited<ReturnType<StoreCommands[K]>>
    >;
  }

  /** The error of a call that must fail. */
  failure<K extends Name>(command: K, args?: Arguments<K>): Promise<{ code: string; details?: unknown }> {
    return this.page.evaluate(
      ([command, args]) =>
        stores.call(command, args).then(
          () => ({ code: "none" }),
          (error: { code: string; details?: unknown }) => error,
        ),
      [command, args] as const,
    );
  }

  /** Begins a call and ends its worker `ms` later, in the middle of whatever it does. */
  async killWhile<K extends Name>(command: K, args: Arguments<K>, ms: number): Promise<void> {
    await this.page.evaluate(
      async ([command, args, ms]) => {
        void stores.call(command, args);
        await new Promise((resolve) => setTimeout(resolve, ms));
      },
      [command, args, ms] as const,
    );
    await this.restart();
  }
}
