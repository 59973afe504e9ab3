// The package in a worker of any kind: makes the requested call, and reports the result.

import { Chord } from "/package/index.js";

const tiny = new URL("/golden/tiny/llama.Q4_0.gguf", location.origin).href;

const calls = {
  /** A complete use: load from a relative address, answer, unload. */
  async load() {
    const chord = await Chord.load("/golden/tiny/llama.Q4_0.gguf", { backend: "cpu", store: "none", threads: 2 });
    const { usage } = await chord.completions.create({ prompt: [1, 2, 3], max_tokens: 4, temperature: 0 });
    const { threads } = await chord.info();
    await chord.unload();
    return { tokens: usage.completion_tokens, threads };
  },
  inspect: async () => (await Chord.inspect(tiny)).architecture,
  capabilities: async () => (await Chord.capabilities()).wasm.available,
  list: async () => (await Chord.cache.list()).length,
};

async function answer(name, reply) {
  try {
    reply({ result: await calls[name]() });
  } catch (error) {
    reply({ error: JSON.parse(JSON.stringify(error)), message: String(error) });
  }
}

// Dedicated and service workers receive messages here, shared workers through a port for each page.
addEventListener("message", ({ data, source }) => {
  void answer(data, (found) => (source ?? self).postMessage(found));
});
addEventListener("connect", ({ ports: [port] }) => {
  port.onmessage = ({ data }) => void answer(data, (found) => port.postMessage(found));
});
