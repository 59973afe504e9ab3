// The browsers other than Chromium: Firefox, and WebKitGTK with its driver and a display for it.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { StepError } from "../steps/console.mjs";
import { findProgram } from "../steps/shell.mjs";
import { aptInstall, isDebian } from "../steps/system-packages.mjs";

/** The Firefox to test in: `CHORD_FIREFOX`, else the system's. */
function findFirefox() {
  const named = process.env.CHORD_FIREFOX;
  return named && existsSync(named) ? named : (findProgram("firefox-esr") ?? findProgram("firefox"));
}

/** Debian and Ubuntu have the driver on PATH, and the browser that it drives in the library's folder. */
function findWebKit() {
  const driver = findProgram("WebKitWebDriver");
  const display = findProgram("Xvfb");
  const browser = libraryFolders()
    .flatMap((folder) => ["webkit2gtk-4.1", "webkitgtk-6.0", "webkit2gtk-4.0"].map((name) => join(folder, name)))
    .map((folder) => join(folder, "MiniBrowser"))
    .find((path) => existsSync(path));
  return driver && display && browser ? { driver, display, browser } : null;
}

function libraryFolders() {
  const below = readdirSync("/usr/lib", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return ["/usr/lib", "/usr/lib64", ...below.map(({ name }) => join("/usr/lib", name)), "/usr/libexec"];
}

/** @returns {Promise<string>} the path of Firefox, installed if this is Debian */
export async function prepareFirefox() {
  // Ubuntu's package of this name is a snap, which a driver cannot start.
  if (!findFirefox() && isDebian()) await aptInstall(["firefox-esr"], "Firefox, for the tests,");
  const path = findFirefox();
  if (!path) throw new StepError("no Firefox was found", "install Firefox, or set CHORD_FIREFOX to its path");
  return path;
}

/** @returns {Promise<{ driver: string, display: string, browser: string }>} paths, installed if this is Debian */
export async function prepareWebKit() {
  if (!findWebKit() && isDebian()) await aptInstall(["webkit2gtk-driver", "xvfb"], "WebKit, for the tests,");
  const paths = findWebKit();
  if (!paths) {
    throw new StepError("no WebKitGTK with its driver was found", "install webkit2gtk-driver and xvfb (Linux)");
  }
  return paths;
}
