/** The engine worker: the wasm module and the GPU, behind the protocol. */

import { chooseArtifact, detectFeatures } from "../artifacts.js";
import type { GenerateEvent } from "../engine-types.js";
import { abortError, ChordError, toErrorRecord } from "../errors.js";
import { ProgressMeter } from "../progress.js";
import type { CallName, EngineCalls, EngineRequest, EngineResponse } from "../protocol.js";
import { IoClient } from "./io-client.js";
import { macrotaskYielder } from "./macrotask.js";
import { LOSS_MS, Model } from "./model.js";
import { Modules } from "./modules.js";
import { workerScope } from "./scope.js";
import { Stop } from "./stop.js";
import { PoolHost } from "./thread-pool.js";
import { watchDevices } from "./webgpu.js";

/** How long a call on a lost device may take to fail. */
const STUCK_MS = 5_000;

/** A running call. */
interface Call<K extends CallName> {
  params: EngineCalls[K]["params"];
  event: (event: EngineCalls[K]["event"]) => void;
  /** Raised when the page gives the call up. */
  stop: Stop;
}

/** One answer for each kind of call. */
type Handlers = {
  [K in CallName]: (call: Call<K>) => Promise<EngineCalls[K]["result"]> | EngineCalls[K]["result"];
};

/** Answers the page until it unloads the model. */
export function runEngine(ioPort: MessagePort): void {
  let ended = false;
  let progress: ProgressMeter | undefined;
  const running = new Map<number, Stop>();
  /** Calls are answered one after the other: the engine does one thing at a time. */
  let turn = Promise.resolve();

  const post = (message: EngineResponse, transfer: Transferable[] = []) => {
    if (!ended) workerScope.postMessage(message, transfer);
  };
  /** The engine cannot continue: the module may be in any state. */
  const fail = (error: unknown) => {
    post({ type: "fatal", error: toErrorRecord(error) });
    ended = true;
  };

  const io = new IoClient(ioPort, ({ bytes, networkBytes, networkDone }) =>
    progress?.arrived(bytes, networkBytes, networkDone),
  );
  const onPanic = (message: string) => fail(new ChordError("internal", `A bug in the engine: ${message}`));
  const pool = new PoolHost(post);
  const model = new Model(io, (urls) => new Modules(urls, onPanic), pool);

  const devices = watchDevices((reason) => {
    const lost = new ChordError("device-lost", `The GPU device was lost (${reason}). Load the model again.`, {
      reason,
    });
    if (!model.noteLoss(reason)) return fail(lost);
    // After the running call, which fails and falls back itself.
    turn = turn.then(() => model.stepDown()).catch(fail);
    setTimeout(() => {
      if (model.isStuck) fail(lost);
    }, STUCK_MS);
  });
  // A panic ends in a trap, which settles no promise of the module.
  const stopped = (event: Event, reason: string) => {
    event.preventDefault();
    fail(new ChordError("internal", `The engine stopped: ${reason}`));
  };
  workerScope.addEventListener("error", (event) => stopped(event, event.message));
  workerScope.addEventListener("unhandledrejection", (event) => stopped(event, String(event.reason)));

  const handlers: Handlers = {
    async load({ params, event, stop }) {
      const meter = (progress = new ProgressMeter(event));
      const { store, times } = await model.load(
        params,
        stop,
        ({ size, fromCache }) => meter.opened(Number(size), fromCache),
        (stage) => meter.engine(stage),
      );
      meter.ready();
      return { info: model.info().engine, store, times };
    },
    generate({ params, event, stop }) {
      // What the next backend needs to continue where this one ended.
      const answered: number[] = [];
      const seed = params.seed ?? randomSeed();
      const onEvent = (heard: GenerateEvent) => {
        if ("token" in heard) answered.push(heard.token);
        else event(heard);
      };
      return model.run(stop, (engine, token) =>
        engine.generate({ ...params, seed, answered: [...answered] }, onEvent, token),
      );
    },
    tokenize: ({ params: { text, options } }) => model.engine.tokenize(text, options),
    tokenizeChat: ({ params: { messages, now } }) => model.engine.tokenize_chat(messages, now),
    logits: ({ params: { tokens }, stop }) => model.run(stop, (engine, token) => engine.logits(tokens, token)),
    info: () => model.info(),
    async inspect({ params: { wasmUrls, options, device }, stop }) {
      const modules = new Modules(wasmUrls, onPanic);
      const { artifact } = chooseArtifact(await detectFeatures(), modules.offered);
      const [file, { bindings }] = await Promise.all([io.open(0), modules.start(artifact)]);
      const host = { read: (offset: bigint, length: number) => io.read(offset, length), pause: macrotaskYielder() };
      const found = await stop.during(bindings, (token) => bindings.inspect(host, file.size, options, device, token));
      await io.close();
      return found;
    },
    unload() {
      model.free();
      return null;
    },
  };

  async function answer<K extends CallName>(call: K, id: number, params: EngineCalls[K]["params"]): Promise<void> {
    const stop = new Stop();
    running.set(id, stop);
    try {
      const event = (event: EngineCalls[K]["event"]) => post({ type: "event", call, id, event } as EngineResponse);
      const result = await handlers[call]({ params, event, stop });
      const transfer = ArrayBuffer.isView(result) ? [result.buffer as ArrayBuffer] : [];
      post({ type: "result", call, id, result } as EngineResponse, transfer);
    } catch (error) {
      const record = toErrorRecord(error);
      // If the device was lost, that is the true reason, and is reported within this time.
      if (record.code === "device") await new Promise((resolve) => setTimeout(resolve, LOSS_MS));
      post({ type: "failed", id, error: record });
    } finally {
      running.delete(id);
    }
  }

  workerScope.addEventListener("message", ({ data }: MessageEvent<EngineRequest>) => {
    switch (data.type) {
      case "call":
        turn = turn.then(() => answer(data.call, data.id, data.params));
        return;
      case "cancel":
        running.get(data.id)?.raise();
        return;
      case "abandon":
        io.abandon(abortError());
        return;
      case "loseDevice":
        devices.lose();
        return;
      case "poolStarted":
        pool.started(data.error);
        return;
    }
  });
}

/** A seed that JavaScript's numbers hold exactly. */
function randomSeed(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high & 0x1fffff) * 2 ** 32 + low;
}
