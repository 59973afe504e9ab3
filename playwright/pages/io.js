// The I/O worker of the built package, driven as by the engine worker, but without an engine: tests of downloads and
// stores need no more, and a file of a megabyte suffices.

export class IoWorker {
  /** @param {object} start source, store, download settings */
  constructor(start) {
    this.waiting = new Map();
    this.nextId = 1;
    /** Every report of bytes. */
    this.arrived = [];
    this.worker = new Worker("/package/chord-worker.js", { type: "module" });
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    port1.onmessage = ({ data }) => {
      if (data.type === "arrived") return this.arrived.push(data);
      const { resolve, reject } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.type === "failed") reject(Object.assign(new Error(data.error.message), data.error));
      else resolve(data);
    };
    this.worker.postMessage({ role: "io", engine: port2, ...start }, [port2]);
  }

  ask(type, request = {}) {
    const id = this.nextId++;
    this.port.postMessage({ type, id, ...request });
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  setPaused(paused) {
    this.worker.postMessage({ paused });
  }

  kill() {
    this.worker.terminate();
  }

  /** Reads the whole file in order, as a load does; two chunks ahead, as the engine worker does. */
  async read() {
    const { size, chunkBytes } = await this.ask("open");
    const all = new Uint8Array(Number(size));
    const count = Math.ceil(all.length / chunkBytes);
    const asked = new Map();
    for (let index = 0; index < count; index++) {
      for (let ahead = index; ahead < Math.min(count, index + 3); ahead++) {
        if (asked.has(ahead)) continue;
        const answer = this.ask("chunk", { index: ahead });
        answer.catch(() => undefined);
        asked.set(ahead, answer);
      }
      const { bytes } = await asked.get(index);
      all.set(bytes, index * chunkBytes);
      this.port.postMessage({ type: "recycle", buffer: bytes.buffer }, [bytes.buffer]);
    }
    return all;
  }
}

/** Loads a model as far as the I/O worker goes. Returns the result, or the error's code. */
export async function load(start) {
  const io = new IoWorker(start);
  try {
    const bytes = await io.read();
    const { report } = await io.ask("finish");
    return { sha256: await sha256(bytes), report, arrived: io.arrived };
  } catch ({ code, message, details }) {
    return { code: code ?? "no code", message, details, arrived: io.arrived };
  } finally {
    io.kill();
  }
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
