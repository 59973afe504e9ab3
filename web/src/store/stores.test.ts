import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, test } from "vitest";
import { STORE_CONTRACT } from "../testing/store-contract.js";
import { openDatabase } from "./database.js";
import { IndexedDbStore } from "./indexeddb.js";
import { MemoryStore } from "./memory.js";

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});

describe("chunks in IndexedDB", () => {
  const open = async () => new IndexedDbStore(await openDatabase());
  test.each(STORE_CONTRACT)("$name", ({ run }) => run({ open, reopen: open }));
});

describe("chunks in memory", () => {
  const open = () => Promise.resolve(new MemoryStore());
  test.each(STORE_CONTRACT)("$name", ({ run }) => run({ open, reopen: undefined }));
});
