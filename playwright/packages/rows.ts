/**
 * Where the package is tried: one row for each tool and way of serving. `npm test` runs some, `test:packages` all.
 */

import type { Project } from "./projects.ts";

export interface Row {
  name: string;
  project: Project;
  /** Scripts of the project that are run first, with their arguments. */
  build?: string[];
  /** A server's script, with its arguments; `PORT` is replaced. Without one, `folder` of the project is served. */
  server?: string[];
  folder?: string;
  /** Also serves the project at another origin, whose address replaces `CDN` in the page. */
  cdn?: boolean;
  headers?: Record<string, string>;
  env?: Record<string, string>;
  page?: string;
  /** The page's title at the end; if left out, the one that reports the generated tokens. */
  title?: RegExp;
  /** Part of `npm test`. */
  quick?: boolean;
}

const viteVersions = { 5: "5.4.21", 6: "6.4.6", 7: "7.3.8", 8: "8.3.8" };
const vite = "node_modules/vite/bin/vite.js";
const viteServer = [vite, "--port", "PORT", "--strictPort"];

const viteProject = (version: keyof typeof viteVersions): Project => ({
  name: `vite-${version}`,
  fixtures: ["vite"],
  dependencies: { vite: viteVersions[version] },
  public: "public",
  library: true,
});

const viteRows = ([5, 6, 7, 8] as const).flatMap((version): Row[] => {
  const project = viteProject(version);
  const tool = `Vite ${version}`;
  return [
    { name: `${tool}, dev`, project, server: viteServer, quick: version >= 7 },
    {
      name: `${tool}, dev, used by a library`,
      project,
      server: viteServer,
      page: "library.html",
      quick: version === 7,
    },
    { name: `${tool}, build`, project, build: [vite, "build"], folder: "dist", quick: version === 8 },
  ];
});

/** A library, and a cache folder that does not reveal where the package is: the one case that needs configuration. */
const elsewhere = { project: viteProject(7), server: viteServer, page: "library.html" };
const viteElsewhere: Row[] = [
  {
    ...elsewhere,
    name: "Vite 7, dev, used by a library, cache elsewhere: says what to add",
    env: { TEST_CACHE_DIR: ".cache" },
    title: /^failed: worker-failed: .*optimizeDeps: \{ exclude: \["@querent-ai\/wasm-chord"\] \} to vite\.config\.js/,
  },
  {
    ...elsewhere,
    name: "Vite 7, dev, used by a library, cache elsewhere, with that line",
    env: { TEST_CACHE_DIR: ".cache", TEST_EXCLUDE: "@querent-ai/wasm-chord" },
  },
];

const viteWorkspace: Row = {
  name: "Vite 7, dev, in a workspace",
  project: { ...viteProject(7), name: "vite-7-workspace", library: false, workspace: true },
  server: ["../node_modules/vite/bin/vite.js", "--port", "PORT", "--strictPort"],
};

const webpackProject: Project = {
  name: "webpack",
  fixtures: ["webpack"],
  dependencies: { webpack: "5.113.0", "webpack-cli": "7.3.1", "ts-loader": "9.6.2", typescript: "5.9.3" },
};
const webpack = (mode: string): Row => ({
  name: `webpack 5, ts-loader, ${mode}`,
  project: webpackProject,
  build: ["node_modules/webpack-cli/bin/cli.js", "--mode", mode],
  quick: true,
});

const esbuild: Row = {
  name: "esbuild, files copied",
  project: { name: "esbuild", fixtures: ["esbuild"], dependencies: { esbuild: "0.28.2" } },
  build: ["build.mjs"],
};

const rollup: Row = {
  name: "Rollup, import-meta-assets",
  project: {
    name: "rollup",
    fixtures: ["rollup"],
    dependencies: {
      rollup: "4.68.8",
      "@rollup/plugin-node-resolve": "16.0.3",
      "@web/rollup-plugin-import-meta-assets": "2.3.3",
    },
  },
  build: ["node_modules/rollup/dist/bin/rollup", "-c"],
};

const nextProject: Project = {
  name: "next",
  fixtures: ["next"],
  dependencies: { next: "16.4.6", react: "19.3.1", "react-dom": "19.3.1" },
  public: "public",
};
const next = "node_modules/next/dist/bin/next";
const nextRows: Row[] = [
  { name: "Next 16, dev", project: nextProject, server: [next, "dev", "-p", "PORT"] },
  { name: "Next 16, build", project: nextProject, build: [next, "build"], server: [next, "start", "-p", "PORT"] },
  { name: "Next 16, dev, webpack", project: nextProject, server: [next, "dev", "--webpack", "-p", "PORT"] },
  {
    name: "Next 16, build, webpack",
    project: nextProject,
    build: [next, "build", "--webpack"],
    server: [next, "start", "-p", "PORT"],
  },
];

const plain: Project = { name: "plain", fixtures: ["plain"] };
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'";
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "cross-origin",
};
const plainRows: Row[] = [
  { name: "script tag", project: plain, page: "script.html", quick: true },
  { name: "script tag, isolated page", project: plain, page: "script.html", headers: isolation },
  { name: "import map", project: plain, page: "import-map.html", quick: true },
  {
    name: "Content Security Policy",
    project: plain,
    page: "policy.html",
    headers: { "Content-Security-Policy": policy },
    quick: true,
  },
  { name: "import map, package on another origin", project: plain, page: "cdn.html", cdn: true, quick: true },
];

export const rows: Row[] = [
  ...viteRows,
  ...viteElsewhere,
  viteWorkspace,
  webpack("production"),
  webpack("development"),
  esbuild,
  rollup,
  ...nextRows,
  ...plainRows,
];
