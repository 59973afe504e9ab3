// What the browsers load: pages from one host, models from another one, which can be switched off.

import { listen, staticServer } from "../server/static-server.mjs";
import { smollm2 } from "../steps/models.mjs";
import { fromRoot, modelsFolder } from "../steps/paths.mjs";

/** Serves pages and models until they are closed. */
export async function startHosts() {
  const models = await startModels();
  const source = `${models.origin}/${smollm2.file}`;
  const listed = { models: [{ title: smollm2.title, detail: "Q4_1", bytes: smollm2.bytes, source }] };
  const demo = fromRoot("examples", "chat", "dist");
  const testPages = fromRoot("playwright", "pages");
  const pages = staticServer([
    { prefix: "/models.json", json: () => listed },
    { prefix: "/plain/models.json", json: () => listed, isolated: false },
    { prefix: "/package/", folder: fromRoot("web", "dist") },
    { prefix: "/pages/", folder: testPages },
    { prefix: "/plain-pages/", folder: testPages, isolated: false },
    { prefix: "/plain/", folder: demo, isolated: false },
    { prefix: "/", folder: demo },
  ]);
  await listen(pages, 0, "127.0.0.1");
  return { origin: `http://localhost:${pages.address().port}`, model: source, models, close: () => end(pages) };
}

/** As fast as a good connection. From a host without limits Firefox receives far more than is read, and discards it. */
const bytesPerSecond = 40e6;

/** A host of models. While it is gone nothing answers at its address. */
async function startModels() {
  let bytes = 0;
  const serve = async (port) => {
    const headers = { "Access-Control-Allow-Origin": "*" };
    const server = staticServer([{ prefix: "/", folder: modelsFolder, bytesPerSecond }], {
      headers,
      onSent: (_, sent) => (bytes += sent),
    });
    return listen(server, port, "127.0.0.1");
  };
  let server = await serve(0);
  const { port } = server.address();
  return {
    origin: `http://localhost:${port}`,
    /** Bytes handed out so far. */
    get sent() {
      return bytes;
    },
    leave: () => end(server),
    async comeBack() {
      server = await serve(port);
    },
  };
}

function end(server) {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
}
