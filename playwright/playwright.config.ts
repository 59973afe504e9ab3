import { defineConfig } from "@playwright/test";
import { findChromium } from "../scripts/tests/adapters.mjs";
import { port } from "./support/places.mjs";

const chromium = findChromium();
const quiet = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"];
quiet.push("--disable-component-update", "--disable-sync");

/** WebGPU computed on the CPU: slow, and the same on every machine. */
const swiftshader = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

const launch = (args: string[]) => ({
  launchOptions: { args: [...quiet, ...args], ...(chromium ? { executablePath: chromium } : {}) },
});

export default defineConfig({
  testDir: "tests",
  outputDir: "results",
  // One browser at a time: two would share the cores that compute the GPU, and what is measured would mean nothing.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  timeout: 180_000,
  expect: { timeout: 30_000 },
  // `npm test` reads its counts from the second.
  reporter: process.env.PLAYWRIGHT_JSON_OUTPUT_NAME ? [["list"], ["json"]] : "list",
  use: { baseURL: `http://localhost:${port}`, actionTimeout: 20_000, viewport: { width: 1280, height: 800 } },
  projects: [
    { name: "webgpu", testIgnore: "**/without-webgpu.spec.ts", use: launch(swiftshader) },
    { name: "without-webgpu", testMatch: "**/without-webgpu.spec.ts", use: launch([]) },
  ],
  webServer: {
    command: "node server.mjs",
    url: `http://localhost:${port}/transfers.json`,
    reuseExistingServer: false,
    stdout: "ignore",
    stderr: "pipe",
  },
});
