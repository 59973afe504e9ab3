/** The engine worker: the wasm module and the GPU, behind the protocol. */

import init, { CancelToken, inspect, on_panic, WasmEngine } from "../../wasm/chord_wasm.js";
import type { EngineInfo, EngineLoadProgress } from "../engine-types.js";
import { ChordError, toErrorRecord } from "../errors.js";
import { ProgressMeter } from "../progress.js";
import type { CallName, EngineCalls, EngineRequest, EngineResponse } from "../protocol.js";
import { IoClient } from "./io-client.js";
import { macrotaskYielder } from "./macrotask.js";
import { workerScope } from "./scope.js";
import { adapterFacts, type AdapterFacts, watchDevices } from "./webgpu.js";

/** A failure of the device is held back this long, for the loss of the device would be the true reason. */
const LOSS_MS = 100;

/** A call under way. */
interface Call<K extends CallName> {
  params: EngineCalls[K]["params"];
  event: (event: EngineCalls[K]["event"]) => void;
  /** Runs work with a token that is raised when the page gives the call up. */
  cancellable: <T>(work: (token: CancelToken) => Promise<T>) => Promise<T>;
}

/** One answer for each kind of call. */
type Handlers = {
  [K in CallName]: (call: Call<K>) => Promise<EngineCalls[K]["result"]> | EngineCalls[K]["result"];
};

/** Answers the page until it unloads the model. */
export function runEngine(ioPort: MessagePort): void {
  let engine: WasmEngine | undefined;
  let memory: WebAssembly.Memory | undefined;
  let adapter: AdapterFacts = { name: "", subgroups: false };
  let ended = false;
  let progress: ProgressMeter | undefined;
  const running = new Map<number, CancelToken>();
  /** Calls are answered one after the other: the engine does one thing at a time. */
  let turn = Promise.resolve();
  const io = new IoClient(ioPort, ({ bytes, networkBytes, networkDone }) =>
    progress?.arrived(bytes, networkBytes, networkDone),
  );

  const post = (message: EngineResponse, transfer: Transferable[] = []) => {
    if (!ended) workerScope.postMessage(message, transfer);
  };
  /** The engine cannot go on: the module may be in any state. */
  const fail = (error: ChordError) => {
    post({ type: "fatal", error: toErrorRecord(error) });
    ended = true;
  };

  const devices = watchDevices((reason) =>
    fail(new ChordError("device-lost", `The GPU device was lost (${reason}). Load the model again.`, { reason })),
  );
  // A panic ends in a trap, which no promise of the module's ever sees.
  const stopped = (event: Event, reason: string) => {
    event.preventDefault();
    fail(new ChordError("internal", `The engine stopped: ${reason}`));
  };
  workerScope.addEventListener("error", (event) => stopped(event, event.message));
  workerScope.addEventListener("unhandledrejection", (event) => stopped(event, String(event.reason)));

  async function start(wasmUrl: string): Promise<void> {
    try {
      const response = await fetch(wasmUrl);
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`.trimEnd());
      ({ memory } = await init({ module_or_path: response }));
    } catch (cause) {
      throw new ChordError("wasm-failed", `The engine ${wasmUrl} could not be loaded (${String(cause)})`, { wasmUrl });
    }
    on_panic((message: string) => fail(new ChordError("internal", `A defect of the engine: ${message}`)));
  }

  const loaded = (): WasmEngine => {
    if (!engine) throw new ChordError("internal", "no model is loaded");
    return engine;
  };

  const info = (): EngineInfo => {
    const info: EngineInfo = loaded().info();
    return info.backend === "gpu" ? { ...info, device: info.device || adapter.name } : info;
  };

  const handlers: Handlers = {
    async load({ params: { wasmUrl, options }, event, cancellable }) {
      const meter = (progress = new ProgressMeter(event));
      const [file, facts] = await Promise.all([io.open(), adapterFacts(), start(wasmUrl)]);
      adapter = facts;
      meter.opened(Number(file.size), file.fromCache);
      const host = { read: (offset: bigint, length: number) => io.read(offset, length), pause: macrotaskYielder() };
      const asked = { ...options, web_subgroups: adapter.subgroups };
      engine = await cancellable((token) =>
        WasmEngine.load(host, file.size, asked, ({ stage }: EngineLoadProgress) => meter.engine(stage), token),
      );
      const store = await io.finish();
      // Layers that are paged are read again and again.
      if (info().paging.paged_layers === 0) await io.close();
      meter.ready();
      return { info: info(), store };
    },
    generate: ({ params, event, cancellable }) => cancellable((token) => loaded().generate(params, event, token)),
    tokenize: ({ params: { text, options } }) => loaded().tokenize(text, options),
    tokenizeChat: ({ params: { messages } }) => loaded().tokenize_chat(messages),
    logits: ({ params: { tokens }, cancellable }) => cancellable((token) => loaded().logits(tokens, token)),
    info: () => ({ engine: info(), wasmHeapBytes: memory?.buffer.byteLength ?? 0 }),
    async inspect({ params: { wasmUrl, options, device }, cancellable }) {
      const [file] = await Promise.all([io.open(0), start(wasmUrl)]);
      const host = { read: (offset: bigint, length: number) => io.read(offset, length), pause: macrotaskYielder() };
      const found = await cancellable((token) => inspect(host, file.size, options, device, token));
      await io.close();
      return found;
    },
    unload() {
      engine?.free();
      engine = undefined;
      return null;
    },
  };

  async function answer<K extends CallName>(call: K, id: number, params: EngineCalls[K]["params"]): Promise<void> {
    async function cancellable<T>(work: (token: CancelToken) => Promise<T>): Promise<T> {
      const token = new CancelToken();
      running.set(id, token);
      try {
        return await work(token);
      } finally {
        running.delete(id);
        token.free();
      }
    }
    try {
      const event = (event: EngineCalls[K]["event"]) => post({ type: "event", call, id, event } as EngineResponse);
      const result = await handlers[call]({ params, event, cancellable });
      const transfer = ArrayBuffer.isView(result) ? [result.buffer as ArrayBuffer] : [];
      post({ type: "result", call, id, result } as EngineResponse, transfer);
    } catch (error) {
      const record = toErrorRecord(error);
      // What was under way on a lost device fails a moment before the device is known to be lost.
      if (record.code === "device") await new Promise((resolve) => setTimeout(resolve, LOSS_MS));
      post({ type: "failed", id, error: record });
    }
  }

  workerScope.addEventListener("message", ({ data }: MessageEvent<EngineRequest>) => {
    switch (data.type) {
      case "call":
        turn = turn.then(() => answer(data.call, data.id, data.params));
        return;
      case "cancel":
        running.get(data.id)?.cancel();
        return;
      case "loseDevice":
        devices.lose();
        return;
    }
  });
}
