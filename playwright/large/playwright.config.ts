/** Models of several gigabytes, and slow tests: `npm run test:large`. */

import { defineConfig } from "@playwright/test";
import base from "../playwright.config.ts";
import { port } from "../support/places.mjs";
import { syntheticPort } from "./synthetic.ts";

const server = base.webServer;
if (server === undefined || Array.isArray(server)) throw new Error("the browser tests have one server");

export default defineConfig({
  ...base,
  testDir: ".",
  outputDir: "../results/large",
  timeout: 1_200_000,
  projects: (base.projects ?? []).filter(({ name }) => name === "webgpu").map(({ use }) => ({ name: "large", use })),
  webServer: [
    { ...server, command: "node ../server.mjs", url: `http://localhost:${port}/transfers.json` },
    // Makes files of any size as they are read.
    {
      command: `node server.mjs ${syntheticPort}`,
      port: syntheticPort,
      reuseExistingServer: false,
    },
  ],
});
