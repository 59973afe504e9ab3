/**
 * Self-tests that a GPU has passed, and which instruction set was the fastest on the CPU. They are remembered for a
 * week, for this build of the engine, this browser and this adapter or artifact, so that most loads need not repeat
 * them; a driver can change without the browser reporting it.
 */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { ArtifactName } from "./artifacts.js";

/** A hash of this package's WebAssembly, inserted by `build.mjs`. Sources that were not built have none. */
declare const CHORD_BUILD: string | undefined;

const DATABASE = "wasm-chord-self-tests";
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

interface Schema extends DBSchema {
  /** When a test, by device and name, was passed. */
  passed: { key: [string, string]; value: number };
}

/** Everything that a test's outcome depends on, besides the test; `undefined` where that is unknown. */
export async function deviceKey({ info, features }: GPUAdapter, build = builtFrom()): Promise<string | undefined> {
  if (build === undefined) return undefined;
  const { vendor, architecture, device, description, isFallbackAdapter } = info;
  const adapter = [vendor, architecture, device, description, isFallbackAdapter === true, [...features].sort()];
  return JSON.stringify([build, await browser(), adapter]);
}

/** The same for the CPU, with one artifact. */
export async function cpuKey(artifact: ArtifactName, build = builtFrom()): Promise<string | undefined> {
  return build === undefined ? undefined : JSON.stringify([build, await browser(), artifact]);
}

/** Names of the tests that this device has passed. Without storage there are none. */
export async function passedTests(device: string, now = Date.now()): Promise<string[]> {
  return using([], async (db) => {
    const tx = db.transaction("passed", "readwrite");
    const names: string[] = [];
    for await (const cursor of tx.store) {
      const [of, name] = cursor.key;
      // Records far in the future expire, too: the clock was put back.
      if (Math.abs(now - cursor.value) > WEEK_MS) await cursor.delete();
      else if (of === device) names.push(name);
    }
    await tx.done;
    return names;
  });
}

/** Remembers a test. */
export function rememberTest(device: string, name: string, now = Date.now()): Promise<void> {
  return using(undefined, async (db) => void (await db.put("passed", now, [device, name])));
}

/** Forgets all passed tests, because a device has failed since. There is seldom more than one device. */
export function forgetTests(): Promise<void> {
  return using(undefined, (db) => db.clear("passed"));
}

async function using<T>(without: T, work: (db: IDBPDatabase<Schema>) => Promise<T>): Promise<T> {
  try {
    const db = await openDB<Schema>(DATABASE, 1, { upgrade: (db) => void db.createObjectStore("passed") });
    try {
      return await work(db);
    } finally {
      db.close();
    }
  } catch {
    return without;
  }
}

function builtFrom(): string | undefined {
  return typeof CHORD_BUILD === "undefined" ? undefined : CHORD_BUILD;
}

/** The browser's version, as exactly as it reports it. */
async function browser(): Promise<unknown> {
  interface UserAgentData {
    getHighEntropyValues(hints: string[]): Promise<{ fullVersionList?: unknown; platformVersion?: string }>;
  }
  const { userAgent, userAgentData } = navigator as Navigator & { userAgentData?: UserAgentData };
  try {
    const told = await userAgentData?.getHighEntropyValues(["fullVersionList", "platformVersion"]);
    return [userAgent, told?.fullVersionList, told?.platformVersion];
  } catch {
    return userAgent;
  }
}
