import { defineConfig } from "@playwright/test";
import base from "../playwright.config.ts";

export default defineConfig({
  ...base,
  testDir: ".",
  outputDir: "../results/packages",
  timeout: 600_000,
  // Each row has its own server, and none of them needs a GPU.
  webServer: [],
  projects: (base.projects ?? [])
    .filter(({ name }) => name === "without-webgpu")
    .map(({ use }) => ({ name: "packages", use })),
});
