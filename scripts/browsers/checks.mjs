// What every browser must be able to do. All checks share one browser, which keeps what earlier checks left: the loaded
// model is in `globalThis.chord` of the page until the page is opened again.

import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { smollm2 } from "../steps/models.mjs";

/**
 * @typedef {object} Place
 * @property {Awaited<ReturnType<import("./webkit.mjs").openWebKit>>} browser
 * @property {Awaited<ReturnType<import("./hosts.mjs").startHosts>>} hosts
 * @property {boolean} isolated whether the pages are cross-origin isolated
 */

/** As many as there are cores: WebKit tells pages of 4 cores on any machine with fewer than 8. */
const threads = Math.min(availableParallelism(), 4);

const question = "Name the capital of France.";
const capital = /\bParis\b/;
/** The demo's settings leave the choice of words to chance. */
const someWords = /\w{2,}.*\w{2,}/s;

/** @type {[name: string, check: (place: Place) => Promise<string | void>][]} each returns a note */
export const checks = [
  ["load", load],
  ["ask", ask],
  ["stop an answer", stop],
  ["load again without the network", loadAgain],
  ["the demo: load, ask, stop", demo],
  ["the demo: load again without the network", demoAgain],
];

async function load(place) {
  const { hosts, isolated } = place;
  await openPage(place);
  const { info, seconds } = await loadModel(place);
  assert.equal(info.isolated, isolated);
  assert.equal(info.artifact, place.browser.artifact);
  assert.equal(info.threads, isolated ? threads : 1, info.why);
  assert.equal(info.store.networkBytes, smollm2.bytes, "every byte came over the network, and only once");
  const { sent } = hosts.models;
  assert.ok(sent < 1.15 * smollm2.bytes, `the host was asked for ${sent} bytes of a file of ${smollm2.bytes}`);
  return describe(info, seconds);
}

async function ask({ browser }) {
  const { text, usage } = await browser.run(askInPage, { question, maxTokens: 24 });
  assert.match(text, capital);
  const prefill = usage.extra.prefill_tokens_per_s.toFixed(0);
  // An answer that is long enough to measure the speed.
  const long = await browser.run(askInPage, { question: "Write a story about the sea.", maxTokens: 64 });
  assert.equal(long.usage.completion_tokens, 64);
  return `prompt ${prefill} tok/s, answer ${long.usage.extra.decode_tokens_per_s.toFixed(1)} tok/s`;
}

async function stop({ browser }) {
  const { name, pieces } = await browser.run(async (question) => {
    const abort = new AbortController();
    const messages = [{ role: "user", content: question }];
    const request = { messages, max_tokens: 1000, temperature: 0, stream: true };
    let pieces = 0;
    try {
      for await (const chunk of await chord.chat.completions.create(request, { signal: abort.signal })) {
        if (chunk.choices[0]?.delta.content && ++pieces === 5) abort.abort();
      }
      return { name: "it ended by itself", pieces };
    } catch (error) {
      return { name: error.name, pieces };
    }
  }, "Write a very long story about the sea.");
  assert.equal(name, "AbortError");
  assert.ok(pieces < 50, `${pieces} pieces came`);
  assert.match((await browser.run(askInPage, { question, maxTokens: 24 })).text, capital);
}

async function loadAgain(place) {
  const { browser, hosts } = place;
  const { store } = await browser.run(async () => {
    const info = await chord.info();
    await chord.unload();
    return info;
  });
  assert.ok(store.complete, `the model is kept, unlike here: ${store.why}`);
  const sent = hosts.models.sent;
  await hosts.models.leave();
  try {
    await openPage(place);
    const { info, seconds } = await loadModel(place);
    assert.equal(info.store.networkBytes, 0);
    assert.match((await browser.run(askInPage, { question, maxTokens: 24 })).text, capital);
    await browser.run(() => chord.unload());
    assert.equal(hosts.models.sent, sent);
    return describe(info, seconds);
  } finally {
    await hosts.models.comeBack();
  }
}

async function demo(place) {
  const { browser } = place;
  await openDemo(place);
  await browser.run(loadInDemo);
  const answer = await browser.run(askInDemo, { question });
  assert.match(answer.text, someWords);
  const stopped = await browser.run(askInDemo, { question: "Write a long story about the sea.", stop: true });
  assert.match(stopped.stats, /Stopped/);
  return answer.stats;
}

async function demoAgain(place) {
  const { browser, hosts } = place;
  const sent = hosts.models.sent;
  await hosts.models.leave();
  try {
    await openDemo(place);
    await browser.run(loadInDemo);
    const { text, stats } = await browser.run(askInDemo, { question });
    assert.match(text, someWords);
    assert.equal(hosts.models.sent, sent);
    return stats;
  } finally {
    await hosts.models.comeBack();
  }
}

async function openPage({ browser, hosts, isolated }) {
  await browser.open(`${hosts.origin}/${isolated ? "pages" : "plain-pages"}/sdk.html`);
  await browser.run(async () => {
    while (document.title !== "ready") await new Promise((resolve) => setTimeout(resolve, 50));
  });
}

/** Loads the model. */
async function loadModel({ browser, hosts }) {
  const given = { model: hosts.model, options: { contextLength: 1024, threads } };
  return browser.run(async ({ model, options }) => {
    const started = performance.now();
    globalThis.chord = await sdk.Chord.load(model, options);
    const seconds = (performance.now() - started) / 1000;
    const { backend, why, threads, artifact, store } = await chord.info();
    return { info: { backend, why, threads, artifact, store, isolated: crossOriginIsolated }, seconds };
  }, given);
}

/** In the page. */
async function askInPage({ question, maxTokens }) {
  const messages = [{ role: "user", content: question }];
  const answer = await chord.chat.completions.create({ messages, max_tokens: maxTokens, temperature: 0 });
  return { text: answer.choices[0].message.content, usage: answer.usage };
}

function describe({ backend, artifact, threads, store }, seconds) {
  return `${seconds.toFixed(1)} s; ${backend}, ${artifact}, ${threads} threads, ${store.kind}`;
}

async function openDemo({ browser, hosts, isolated }) {
  await browser.open(`${hosts.origin}/${isolated ? "" : "plain/"}`);
  // A page that isolates itself loads once more. WebKit answers a script that runs meanwhile only minutes later, so
  // short scripts ask which page it is, until the answer has stayed the same for a while.
  let since = { page: undefined, at: 0 };
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((later) => setTimeout(later, 100))) {
    const page = await browser.run(() => performance.timeOrigin).catch(() => undefined);
    if (page !== since.page || page === undefined) since = { page, at: Date.now() };
    else if (Date.now() - since.at > 1_500) return;
  }
  throw new Error("the page loads again and again");
}

/** In the demo's page: chooses the listed model and waits for the chat. */
async function loadInDemo() {
  const until = async (what, find) => {
    for (const end = Date.now() + 300_000; Date.now() < end;) {
      const problem = document.querySelector("#picker-problem:not([hidden])");
      if (problem) throw new Error(problem.textContent);
      const found = find();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${what} did not come: ${document.body.innerText.slice(0, 500)}`);
  };
  (await until("the list", () => document.querySelector("#listed input[type=radio]"))).click();
  (await until("the button", () => document.querySelector("#load:not([disabled])"))).click();
  await until("the chat", () => document.querySelector("#chat:not([hidden])"));
}

/** In the demo's page: sends a message, and stops the answer once it has begun, if requested. */
async function askInDemo({ question, stop = false }) {
  const until = async (what, find) => {
    for (const end = Date.now() + 300_000; Date.now() < end;) {
      const found = find();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${what} did not come: ${document.body.innerText.slice(0, 500)}`);
  };
  const answers = () => document.querySelectorAll('.message[data-role="assistant"]');
  const before = answers().length;
  const prompt = document.querySelector("#prompt");
  prompt.value = question;
  prompt.dispatchEvent(new InputEvent("input", { bubbles: true }));
  document.querySelector("#composer").requestSubmit();
  const answer = await until("an answer", () => answers()[before]);
  const text = () => answer.querySelector(".message-text").textContent;
  if (stop) {
    await until("text", () => answer.dataset.state === "writing" && text() !== "");
    document.querySelector("#stop").click();
  }
  await until("its end", () => answer.dataset.state === "done");
  const stats = [...answer.querySelectorAll(".message-stats > *")].map(({ textContent }) => textContent);
  return { text: text(), stats: stats.join(", ") };
}
