// What the GPU and browser tests run on: Mesa's lavapipe, SwiftShader, and a Chromium with WebGPU.

import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { StepError } from "../steps/console.mjs";
import { fromRoot } from "../steps/paths.mjs";
import { run } from "../steps/shell.mjs";
import { aptInstall, isDebian } from "../steps/system-packages.mjs";

const systemChromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const icdFolder = "/usr/share/vulkan/icd.d";

const exists = (path) => existsSync(path);

/** The Chromium to test in: `CHORD_CHROMIUM`, the system's, or the one that Playwright downloaded; null if none. */
export function findChromium() {
  const named = process.env.CHORD_CHROMIUM;
  return [named, ...systemChromium, ...playwrightChromium()].find((path) => path && exists(path)) ?? null;
}

function playwrightChromium() {
  const cache = process.env.PLAYWRIGHT_BROWSERS_PATH ?? join(homedir(), ".cache", "ms-playwright");
  if (!exists(cache)) return [];
  return readdirSync(cache)
    .filter((name) => /^chromium-\d+$/.test(name))
    .sort()
    .reverse()
    .map((name) => join(cache, name, "chrome-linux", "chrome"));
}

function findLavapipe() {
  if (!exists(icdFolder)) return null;
  const file = readdirSync(icdFolder).find((name) => /^lvp_icd.*\.json$/.test(name));
  return file ? join(icdFolder, file) : null;
}

function findSwiftShader(chromium) {
  const folders = ["/usr/lib/chromium", chromium && dirname(chromium)];
  return folders
    .map((folder) => folder && join(folder, "vk_swiftshader_icd.json"))
    .find((path) => path && exists(path));
}

/**
 * Finds the adapters and the browser, and installs missing ones if this is Debian or if Playwright can.
 *
 * @returns {Promise<{ chromium: string, lavapipe: string, swiftshader: string }>}
 */
export async function prepareAdapters() {
  if (isDebian()) {
    const missing = [];
    if (!findChromium()) missing.push("chromium");
    if (!findLavapipe()) missing.push("mesa-vulkan-drivers");
    if (!hasVulkanLoader()) missing.push("libvulkan1");
    if (missing.length) await aptInstall(missing, "a browser or a Vulkan driver for the tests");
  } else if (!findChromium()) {
    const playwright = fromRoot("node_modules", "@playwright", "test", "cli.js");
    await run(process.execPath, [playwright, "install", "chromium"], {
      log: "playwright-install",
      next: "install Chromium, and set CHORD_CHROMIUM to its path",
    });
  }
  const chromium = findChromium();
  const lavapipe = findLavapipe();
  const swiftshader = findSwiftShader(chromium);
  if (!chromium) throw new StepError("no Chromium was found", "install Chromium, or set CHORD_CHROMIUM to its path");
  if (!lavapipe) throw new StepError("Mesa's lavapipe was not found", "install Mesa's Vulkan drivers (Linux)");
  if (!swiftshader) {
    throw new StepError(`no SwiftShader beside ${chromium}`, "install a Chromium that brings vk_swiftshader_icd.json");
  }
  return { chromium, lavapipe, swiftshader };
}

function hasVulkanLoader() {
  const folders = ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
  return folders.some((folder) => exists(join(folder, "libvulkan.so.1")));
}
