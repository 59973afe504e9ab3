/** A page that is killed a hundred times. */

import { test } from "@playwright/test";
import { ModelServer } from "../../web/src/testing/model-server.ts";
import { randomBytes } from "../../web/src/testing/random-bytes.ts";
import { MiB } from "../support/downloads.ts";
import { killAtRandomMoments } from "../support/kills.ts";

test("a download killed at 100 random moments continues each time, and fetches no recorded chunk again", async ({
  context,
}) => {
  test.setTimeout(20 * 60_000);
  const server = await ModelServer.start(randomBytes(MiB, 31));
  try {
    await killAtRandomMoments(context, server, 100);
  } finally {
    await server.stop();
  }
});
