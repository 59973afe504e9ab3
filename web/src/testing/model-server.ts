/** A web server for tests that misbehaves as it is told. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { parseRange } from "../../../scripts/server/byte-ranges.mjs";

/** How the server treats the next requests. */
export interface Behaviour {
  /** Applies to this many requests; later ones are answered normally. */
  times?: number;
  /** Answers every request with 200 and the whole file. */
  noRanges?: boolean;
  /** Answers with this status. */
  status?: number;
  /** Ends the connection after this many bytes of a body. */
  cutAfter?: number;
  /** Ends the connection at this byte of the file. */
  cutAt?: number;
  /** Ends the connection at this byte of the file the first time it is sent; later requests are answered normally. */
  cutOnceAt?: number;
  /** Ends the body early without an error, as if that were all of it. */
  endAfter?: number;
  /** Sends nothing more after this many bytes of a body. */
  stallAfter?: number;
  /** Sends a range that begins this many bytes later. */
  shiftRange?: number;
  /** Compresses the body: `Content-Length` counts compressed bytes, `Content-Range` the file's bytes. */
  gzip?: boolean;
  /** Redirects here instead of answering. */
  redirect?: string;
  /** Leaves these headers out. */
  without?: string[];
  /** Sends these headers instead. */
  headers?: Record<string, string>;
  /** Waits this long after each piece of a body. */
  pauseMs?: number;
}

/** One request that was answered. */
export interface Served {
  path: string;
  range: string | undefined;
  /** Bytes of the file that were handed to the connection. */
  start: number;
  end: number;
}

/** Bytes of a body that are written at once. */
const PIECE = 16_384;

/** Serves one file at every path, unless {@link ModelServer.files} or {@link ModelServer.routes} has another for it. */
export class ModelServer {
  behaviour: Behaviour = {};
  /** Behaviours of the next requests, one each, before {@link behaviour} applies. */
  readonly script: Behaviour[] = [];
  etag = '"1"';
  /** Other origins may read the answers. */
  cors = true;
  /** Headers that other origins may read in addition to the standard ones. */
  exposed = "ETag, Content-Range, X-Repo-Commit, X-Linked-Etag";
  /** Other files by path. */
  readonly files = new Map<string, Uint8Array>();
  /** Further answers by path. */
  readonly routes = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>();
  /** All requests, in order. */
  readonly served: Served[] = [];
  /** Bytes of bodies sent. */
  sent = 0;
  /** Most bodies on their way at the same time. */
  atOnce = 0;
  private sending = 0;

  readonly origin: string;
  readonly url: string;

  private constructor(
    private readonly server: Server,
    public bytes: Uint8Array,
  ) {
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.url = `${this.origin}/model.gguf`;
    server.on("request", (request, response) => void this.answer(request, response));
  }

  static async start(bytes: Uint8Array): Promise<ModelServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ModelServer(server, bytes);
  }

  /** The Range headers of all requests for the file, in order. */
  get ranges(): (string | undefined)[] {
    return this.served.map(({ range }) => range);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private takeBehaviour(): Behaviour {
    const scripted = this.script.shift();
    if (scripted) return scripted;
    const { behaviour } = this;
    if (behaviour.times === undefined) return behaviour;
    this.behaviour = behaviour.times > 1 ? { ...behaviour, times: behaviour.times - 1 } : {};
    return behaviour;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.cors) {
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-allow-headers", "authorization, range");
      response.setHeader("access-control-expose-headers", this.exposed);
    }
    if (request.method === "OPTIONS") return void response.writeHead(204).end();
    const path = decodeURIComponent(new URL(request.url ?? "/", this.origin).pathname);
    const route = this.routes.get(path);
    if (route) return route(request, response);

    const bytes = this.files.get(path) ?? this.bytes;
    const behaviour = this.takeBehaviour();
    const served: Served = { path, range: request.headers.range, start: 0, end: 0 };
    this.served.push(served);
    if (behaviour.redirect) return void response.writeHead(302, { location: behaviour.redirect }).end();
    if (behaviour.status) return void response.writeHead(behaviour.status, behaviour.headers).end("no");
    const range = behaviour.noRanges ? null : parseRange(request.headers.range, bytes.length);
    const beyond = () => void response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    if (range === "unsatisfiable") return beyond();
    const start = range ? range.start + (behaviour.shiftRange ?? 0) : 0;
    const end = range?.end ?? bytes.length;
    if (start >= bytes.length) return beyond();
    const body = behaviour.gzip ? gzipSync(bytes.subarray(start, end)) : bytes.subarray(start, end);
    const headers: Record<string, string> = {
      etag: this.etag,
      "content-length": String(body.length),
      ...(range ? { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
      ...(behaviour.gzip ? { "content-encoding": "gzip" } : {}),
      ...behaviour.headers,
    };
    if (behaviour.endAfter !== undefined) delete headers["content-length"];
    for (const name of behaviour.without ?? []) delete headers[name];
    response.writeHead(range ? 206 : 200, headers);
    if (request.method === "HEAD") return void response.end();
    await this.send(response, body, start, behaviour, served);
  }

  private async send(
    response: ServerResponse,
    body: Uint8Array,
    start: number,
    behaviour: Behaviour,
    served: Served,
  ): Promise<void> {
    let cutAt = behaviour.cutAt === undefined ? Infinity : Math.max(0, behaviour.cutAt - start);
    const { cutOnceAt } = behaviour;
    if (cutOnceAt !== undefined && cutOnceAt >= start && cutOnceAt < start + body.length) {
      cutAt = cutOnceAt - start;
      this.behaviour = {};
    }
    const { cutAfter = Infinity, stallAfter = Infinity, endAfter = Infinity } = behaviour;
    const limit = Math.min(cutAfter, stallAfter, endAfter, cutAt);
    const end = Math.min(body.length, limit);
    [served.start, served.end] = [start, start];
    this.atOnce = Math.max(this.atOnce, ++this.sending);
    for (let at = 0; at < end && !response.destroyed; at += PIECE) {
      const piece = body.subarray(at, Math.min(end, at + PIECE));
      this.sent += piece.length;
      served.end += piece.length;
      await new Promise((resolve) => response.write(piece, resolve));
      if (behaviour.pauseMs) await new Promise((resolve) => setTimeout(resolve, behaviour.pauseMs));
    }
    this.sending--;
    if (behaviour.stallAfter !== undefined && limit < body.length) return;
    if (limit === endAfter) return void response.end();
    // The sent bytes should have been read by then: a broken connection discards unread ones.
    if (limit < body.length) setTimeout(() => response.destroy(), CUT_MS);
    else response.end();
  }
}

/** Time from the last bytes of a connection to its cut. */
const CUT_MS = 30;
