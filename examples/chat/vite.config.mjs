import { defineConfig } from "vite";
import { serviceWorker } from "./build/service-worker.mjs";

export default defineConfig({
  // Relative addresses, so that the build can be put into any folder of any host.
  base: "./",
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: "es" },
  plugins: [serviceWorker()],
});
