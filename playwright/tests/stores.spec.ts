/** Both stores in a real browser: the contract, what is found after an accident, and full disks. */

import { expect, type Page, test } from "@playwright/test";
import { StorePage } from "../support/stores.ts";

const MIB = 1024 * 1024;

for (const kind of ["opfs", "indexeddb"] as const) {
  test.describe(kind, () => {
    test("keeps the contract of a chunk store", async ({ page }) => {
      const stores = await StorePage.open(page);
      const { cases, failed } = await stores.call("contract", { kind });
      expect(failed).toEqual([]);
      expect(cases).toBeGreaterThan(8);
    });

    test("killed at any moment, nothing recorded is wrong or lost", async ({ page }) => {
      const stores = await StorePage.open(page);
      const chunks = 200;
      await stores.call("open", { choice: kind });
      await stores.call("begin", { key: "m", size: chunks * 65_536 - 100, chunkBytes: 65_536 });
      let before = 0;
      let kills = 0;
      let patience = 0;
      while ((kills < 10 || before === 0) && before < chunks) {
        await stores.killWhile("fill", { key: "m", count: chunks }, patience + 10 + ((kills * 37) % 40));
        kills += 1;
        await stores.call("open", { choice: kind });
        const { good, bad, store } = await stores.call("check", { key: "m" });
        expect(store).toBe(kind);
        expect(bad).toEqual([]);
        expect(good.length).toBeGreaterThanOrEqual(before);
        // A slow disk gets more time, until the kills hit a store that is writing.
        patience = good.length > before ? 0 : patience + 50;
        before = good.length;
      }
      expect(kills).toBeGreaterThan(3);
      await stores.call("fill", { key: "m", count: chunks });
      expect((await stores.call("check", { key: "m" })).good.length).toBe(chunks);
    });

    test("thousands of reads in a row all end", async ({ page }) => {
      const stores = await StorePage.open(page);
      await stores.call("open", { choice: kind });
      await stores.call("begin", { key: "m", size: 200 * 65_536, chunkBytes: 65_536 });
      await stores.call("fill", { key: "m", count: 200 });
      for (let round = 0; round < 10; round++) {
        expect((await stores.call("check", { key: "m" })).good.length).toBe(200);
      }
    });

    test("bytes without a record are not used", async ({ page }) => {
      const stores = await StorePage.open(page);
      await stores.call("open", { choice: kind });
      await stores.call("begin", { key: "m", size: 10_000, chunkBytes: 4_000 });
      await stores.call("fill", { key: "m", count: 1 });
      await stores.call("close");
      await stores.call("open", { choice: kind });
      await stores.call("writeUnrecorded", { key: "m", index: 1 });
      expect((await stores.call("check", { key: "m" })).good).toEqual([0]);
    });

    // Altered bytes keep their length, so only the hash reveals them. A chunk that is too short counts as missing.
    const accidents = [
      { how: "flip", found: { good: [1, 2], bad: [0], missing: [] } },
      { how: "shorten", found: { good: [0, 1], bad: [], missing: [] } },
      { how: "remove", found: { good: kind === "opfs" ? [] : [0, 1], bad: [], missing: [] } },
    ] as const;
    for (const { how, found } of accidents) {
      test(`bytes damaged by "${how}" are found, and can be stored again`, async ({ page }) => {
        const stores = await StorePage.open(page);
        await stores.call("open", { choice: kind });
        await stores.call("begin", { key: "m", size: 10_000, chunkBytes: 4_000 });
        await stores.call("fill", { key: "m", count: 3 });
        await stores.call("damage", { key: "m", how });
        await stores.restart();
        await stores.call("open", { choice: kind });
        expect(await stores.call("check", { key: "m" })).toMatchObject(found);
        for (const index of [...found.bad, ...found.missing]) await stores.call("forget", { key: "m", index });
        await stores.call("fill", { key: "m", count: 3 });
        expect((await stores.call("check", { key: "m" })).good).toEqual([0, 1, 2]);
      });
    }

    test("a model that will not fit is refused with both numbers before anything is written", async ({ page }) => {
      const stores = await StorePage.open(page);
      const quota = await overrideQuota(page);
      await quota(6 * MIB);
      await stores.call("open", { choice: kind });
      const error = await stores.failure("begin", { key: "m", size: 16 * MIB, chunkBytes: 2 * MIB });
      expect(error.code).toBe("storage-quota");
      const { needed, free } = error.details as { needed: number; free: number };
      expect(needed).toBe(16 * MIB);
      expect(free).toBeGreaterThan(4 * MIB);
      expect(free).toBeLessThanOrEqual(6 * MIB);
      expect(await stores.call("onDisk")).toEqual({ files: 0, bytes: 0 });
      expect((await stores.failure("check", { key: "m" })).code).not.toBe("none");
    });

    test("a disk that fills up is an error with both numbers, and what was recorded stays", async ({ page }) => {
      const stores = await StorePage.open(page);
      const quota = await overrideQuota(page);
      // Room for either model, not for both.
      await quota(18 * MIB);
      await stores.call("open", { choice: kind });
      for (const key of ["a", "b"]) await stores.call("begin", { key, size: 12 * MIB, chunkBytes: 2 * MIB });
      await stores.call("fill", { key: "a", count: 6 });
      const error = await stores.failure("fill", { key: "b", count: 6 });
      expect(error.code).toBe("storage-quota");
      const { needed, free } = error.details as { needed: number; free: number | null };
      expect(needed).toBe(2 * MIB);
      // IndexedDB may have filled the disk so that there is no room to measure it.
      if (kind === "opfs" || free !== null) expect(free).toBeLessThan(2 * MIB);

      await stores.restart();
      await stores.call("open", { choice: kind });
      expect((await stores.call("check", { key: "a" })).good.length).toBe(6);
      const { good, bad, missing } = await stores.call("check", { key: "b" });
      expect([...bad, ...missing]).toEqual([]);
      expect(good.length).toBeGreaterThan(0);
      const bytes = (6 + good.length) * 2 * MIB;
      expect(await stores.call("onDisk")).toEqual(kind === "opfs" ? { files: 2, bytes } : { files: 0, bytes: 0 });

      // With more room it continues there.
      expect(await stores.call("delete", { key: "a" })).toBe(true);
      // Chromium keeps counting deleted Blobs until it cleans up its database, at a time of its choosing.
      if (kind === "indexeddb") await quota(40 * MIB);
      await stores.call("fill", { key: "b", count: 6 });
      expect((await stores.call("check", { key: "b" })).good.length).toBe(6);
      expect(await stores.call("delete", { key: "b" })).toBe(true);
      expect(await stores.call("onDisk")).toEqual({ files: 0, bytes: 0 });
    });
  });
}

/** Sets what Chromium lets this origin store. */
async function overrideQuota(page: Page) {
  const session = await page.context().newCDPSession(page);
  const { origin } = new URL(page.url());
  return (quotaSize: number) => session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize });
}

test("auto uses OPFS", async ({ page }) => {
  const stores = await StorePage.open(page);
  expect(await stores.call("open", { choice: "auto" })).toEqual({ kind: "opfs", why: undefined });
});

for (const how of ["absent", "NoModificationAllowedError"] as const) {
  test(`where synchronous access is "${how}", IndexedDB takes its place and OPFS is still read`, async ({ page }) => {
    const stores = await StorePage.open(page);
    await stores.call("open", { choice: "auto" });
    await stores.call("begin", { key: "old", size: 10_000, chunkBytes: 4_000 });
    await stores.call("fill", { key: "old", count: 3 });
    await stores.restart();

    await stores.call("breakFiles", { how });
    await stores.call("open", { choice: "auto" });
    const begun = await stores.call("begin", { key: "new", size: 10_000, chunkBytes: 4_000 });
    expect(begun.store).toBe("indexeddb");
    expect(begun.why).toBeTruthy();
    await stores.call("fill", { key: "new", count: 3 });
    expect(await stores.call("check", { key: "new" })).toMatchObject({ good: [0, 1, 2], store: "indexeddb" });
    expect(await stores.call("check", { key: "old" })).toMatchObject({ good: [0, 1, 2], store: "opfs" });
    // The file that could not be opened is not left behind.
    expect(await stores.call("onDisk")).toEqual({ files: 1, bytes: 10_000 });
  });
}

test("a model whose file another tab has open is not deleted, and loses nothing", async ({ page, context }) => {
  const [first, second] = [await StorePage.open(page), await StorePage.open(await context.newPage())];
  await first.call("open", { choice: "opfs" });
  await first.call("begin", { key: "m", size: 10_000, chunkBytes: 4_000 });
  await first.call("fill", { key: "m", count: 3 });
  await second.call("open", { choice: "opfs" });
  expect((await second.failure("delete", { key: "m" })).code).toBe("model-in-use");
  expect((await second.call("check", { key: "m" })).good).toEqual([0, 1, 2]);
  await second.call("close");
  await second.call("open", { choice: "opfs" });
  await first.call("close");
  expect(await second.call("delete", { key: "m" })).toBe(true);
});
