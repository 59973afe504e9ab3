/** A web server for tests that behaves as badly as it is told to. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export { randomBytes } from "./random-bytes.js";

/** How the server treats the next requests. */
export interface Behaviour {
  /** Answers 200 with the whole file whatever is asked for. */
  noRanges?: boolean;
  /** Answers with this status. */
  status?: number;
  /** Ends the connection after this many bytes of a body. */
  cutAfter?: number;
  /** Sends nothing more after this many bytes of a body. */
  stallAfter?: number;
  /** Leaves these headers out. */
  without?: string[];
  /** Sends these headers instead. */
  headers?: Record<string, string>;
}

/** Serves one file at every path. */
export class ModelServer {
  behaviour: Behaviour = {};
  etag = '"1"';
  /** The Range headers of all requests, in order. */
  readonly ranges: (string | undefined)[] = [];
  /** Bytes of bodies sent. */
  sent = 0;

  readonly url: string;

  private constructor(
    private readonly server: Server,
    public bytes: Uint8Array,
  ) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`;
    server.on("request", (request, response) => void this.answer(request, response));
  }

  static async start(bytes: Uint8Array): Promise<ModelServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ModelServer(server, bytes);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { behaviour, bytes } = this;
    this.ranges.push(request.headers.range);
    if (behaviour.status) {
      response.writeHead(behaviour.status).end("no");
      return;
    }
    const match = behaviour.noRanges ? null : /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
    const start = match ? Number(match[1]) : 0;
    if (start >= bytes.length) {
      response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
      return;
    }
    const headers: Record<string, string> = {
      etag: this.etag,
      "content-length": String(bytes.length - start),
      ...(match ? { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
      ...behaviour.headers,
    };
    for (const name of behaviour.without ?? []) delete headers[name];
    response.writeHead(match ? 206 : 200, headers);
    const limit = behaviour.cutAfter ?? behaviour.stallAfter ?? Infinity;
    const end = Math.min(bytes.length, start + limit);
    for (let at = start; at < end && !response.destroyed; at += 1000) {
      const piece = bytes.subarray(at, Math.min(end, at + 1000));
      this.sent += piece.length;
      await new Promise((resolve) => response.write(piece, resolve));
    }
    if (behaviour.stallAfter !== undefined) return;
    if (behaviour.cutAfter === undefined) {
      response.end();
    } else {
      // What was sent should have been read by then: a broken connection takes unread bytes with it.
      setTimeout(() => response.destroy(), 250);
    }
  }
}
