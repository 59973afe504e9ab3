// Serves the browser tests: the demo at /, the built package, test pages and data. `transfers.json` says how many
// bytes of each path were handed out, by which tests know that a reload did not use the network.

import { minimalRoutes } from "../scripts/server/demo.mjs";
import { listen, staticServer } from "../scripts/server/static-server.mjs";
import { benchPageRoutes } from "../scripts/steps/bench-page.mjs";
import { smollm2 } from "../scripts/steps/models.mjs";
import { fromRoot } from "../scripts/steps/paths.mjs";
import { elsewhere, goldenFolders, hostile, models, port } from "./support/places.mjs";

const sent = new Map();
const listed = {
  models: [
    { title: smollm2.title, detail: "Q4_1", bytes: smollm2.bytes, source: `models/${smollm2.file}` },
    { title: "The same, from a slow host", bytes: smollm2.bytes, source: `slow/${smollm2.file}` },
  ],
};

const routes = [
  { prefix: "/transfers.json", json: () => Object.fromEntries(sent) },
  { prefix: "/models.json", json: () => listed },
  { prefix: "/models/", folder: models },
  { prefix: "/slow/", folder: models, bytesPerSecond: 20e6 },
  { prefix: "/golden/", folder: goldenFolders },
  { prefix: "/hostile/", folder: hostile },
  { prefix: "/package/", folder: fromRoot("web", "dist") },
  { prefix: "/elsewhere/", folder: elsewhere },
  ...benchPageRoutes(),
  ...benchPageRoutes("/plain-bench/", false),
  ...minimalRoutes,
  { prefix: "/pages/", folder: fromRoot("playwright", "pages") },
  { prefix: "/plain-pages/", folder: fromRoot("playwright", "pages"), isolated: false },
  { prefix: "/plain/", folder: fromRoot("examples", "chat", "dist"), isolated: false },
  { prefix: "/", folder: fromRoot("examples", "chat", "dist") },
];

const onSent = (path, bytes) => sent.set(path, (sent.get(path) ?? 0) + bytes);
// The same files under 127.0.0.1 are another origin, which may read them, as it may a package on a CDN.
const headers = { "Access-Control-Allow-Origin": "*" };
await listen(staticServer(routes, { headers, onSent }), port);
