/**
 * One WebSocket of a client: requests in, replies out, streams under credit.
 *
 * INVARIANTS
 * - Each request gets exactly one reply while the connection lives, and is cancelled when it ends.
 * - What waits to be sent is bounded: a client that does not read is first not read from, then cut off.
 * - A stream sends an item only against credit, and waits while the socket is full.
 */
import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { SocketKind } from '../../Kernel/contract/operations/define.ts';
import {
  CANCEL_METHOD,
  cancelParamsSchema,
  CREDIT_METHOD,
  creditParamsSchema,
  type RequestId,
} from '../../Kernel/contract/wire/jsonrpc.schema.ts';
import type { ConnectionCount, Principal } from '../../Kernel/gate/call.ts';
import type { Gate } from '../../Kernel/gate/gate.ts';
import type { RunningCall } from '../../Kernel/gate/running-call.ts';
import { parseFrame } from './frame.ts';
import { encodeFailure, encodeProgress, encodeResult } from './reply.ts';

/** Items that a stream may send before its reader grants more. */
export const INITIAL_STREAM_CREDIT = 64;
/** Credit that may pile up; a reader gains nothing from more. */
const MAX_STREAM_CREDIT = 100_000;
/** Waiting bytes above which nothing more is read from this client. */
const HIGH_WATER_BYTES = 1024 * 1024;

export type SessionPorts = {
  readonly gate: Gate;
  readonly principal: Principal;
  readonly socketKind: SocketKind;
  readonly maxFrameBytes: number;
  /** Waiting bytes at which the client is cut off. */
  readonly maxBufferedBytes: number;
  readonly onClosed: (session: Session) => void;
};

type Active = { readonly call: RunningCall; credit: number; streaming: boolean; wake: (() => void) | null };

export class Session {
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #ports: SessionPorts;
  readonly #active = new Map<RequestId, Active>();
  readonly #count: ConnectionCount = { inFlight: 0 };
  #corked = false;
  #paused = false;
  /** Something was heard since the last ping. */
  #alive = true;

  constructor(ws: WebSocket, socket: Socket, ports: SessionPorts) {
    this.#ws = ws;
    this.#socket = socket;
    this.#ports = ports;
    ws.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    ws.on('pong', () => (this.#alive = true));
    // A pong was queued for it: a flood of pings by a client that does not read must hit the bound too.
    ws.on('ping', () => this.#checkBuffered());
    // The closing follows by itself; a broken frame is the peer's affair and not worth a log line.
    ws.on('error', () => undefined);
    ws.on('close', () => this.#onClose());
    socket.on('drain', () => this.#onDrain());
  }

  get inFlight(): number {
    return this.#active.size;
  }

  /** Cuts the connection when nothing came since the last call, else sends a ping. */
  checkAlive(): void {
    if (!this.#alive) return this.#ws.terminate();
    this.#alive = false;
    this.#ws.ping();
  }

  /** Ends every request, or only the streams, with that error. */
  cancelAll(error: KernelError, only: 'streams' | 'all' = 'all'): void {
    for (const active of [...this.#active.values()])
      if (only === 'all' || active.streaming) this.#cancel(active, error);
  }

  close(): void {
    this.#ws.close(1001, 'the kernel is stopping');
  }

  terminate(): void {
    this.#ws.terminate();
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    this.#alive = true;
    if (isBinary) return this.#fail(null, new KernelError('INVALID_REQUEST', 'expected a text frame'));
    // ws gives a Buffer for each message unless told otherwise.
    const frame = parseFrame((data as Buffer).toString());
    if (frame.kind === 'invalid') return this.#fail(frame.id, frame.error);
    if (frame.kind === 'notification') return this.#onNotification(frame.method, frame.params);
    if (this.#active.has(frame.id)) {
      return this.#fail(frame.id, new KernelError('INVALID_REQUEST', 'a request with this id is in flight'));
    }
    const call = this.#ports.gate.start({
      method: frame.method,
      params: frame.params,
      principal: this.#ports.principal,
      socket: this.#ports.socketKind,
      connection: this.#count,
    });
    const active: Active = { call, credit: INITIAL_STREAM_CREDIT, streaming: false, wake: null };
    this.#active.set(frame.id, active);
    call.answer.then(
      (answer) => {
        if (answer.kind === 'stream') void this.#pump(frame.id, active, answer.items);
        else this.#finish(frame.id, encodeResult(frame.id, answer.value, this.#ports.maxFrameBytes));
      },
      (thrown: unknown) => this.#finish(frame.id, encodeFailure(frame.id, toKernelError(thrown))),
    );
  }

  /** Others are dropped: a notification has no reply, so a command sent as one could fail unseen (clause 4.1). */
  #onNotification(method: string, params: unknown): void {
    if (method === CANCEL_METHOD) {
      const parsed = cancelParamsSchema.safeParse(params);
      const active = parsed.success ? this.#active.get(parsed.data.id) : undefined;
      if (active !== undefined) this.#cancel(active, new KernelError('CANCELLED', 'the caller withdrew the request'));
    } else if (method === CREDIT_METHOD) {
      const parsed = creditParamsSchema.safeParse(params);
      const active = parsed.success ? this.#active.get(parsed.data.id) : undefined;
      if (active === undefined || !parsed.success) return;
      active.credit = Math.min(MAX_STREAM_CREDIT, active.credit + parsed.data.items);
      active.wake?.();
    }
  }

  #cancel(active: Active, error: KernelError): void {
    active.call.cancel(error);
    active.wake?.();
  }

  async #pump(id: RequestId, active: Active, items: AsyncIterableIterator<unknown>): Promise<void> {
    active.streaming = true;
    try {
      for (let seq = 0; ; seq += 1) {
        while ((active.credit === 0 || this.#socket.writableNeedDrain) && !active.call.ended) {
          await new Promise<void>((resolve) => (active.wake = resolve));
          active.wake = null;
        }
        const item = await items.next();
        if (item.done === true) break;
        active.credit -= 1;
        this.#send(encodeProgress(id, seq, item.value, this.#ports.maxFrameBytes));
      }
      this.#finish(id, encodeResult(id, null, this.#ports.maxFrameBytes));
    } catch (thrown) {
      const error = toKernelError(thrown);
      active.call.cancel(error);
      this.#finish(id, encodeFailure(id, error));
    }
  }

  #finish(id: RequestId, text: string): void {
    this.#active.delete(id);
    this.#send(text);
  }

  #fail(id: RequestId | null, error: KernelError): void {
    this.#send(encodeFailure(id, error));
  }

  #send(text: string): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    if (!this.#corked) {
      // All replies of one turn leave in one write: this is what makes pipelined calls cheap.
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#ws.send(text);
    this.#checkBuffered();
  }

  #checkBuffered(): void {
    const waiting = this.#ws.bufferedAmount;
    if (waiting > this.#ports.maxBufferedBytes) this.#ws.terminate();
    else if (waiting > HIGH_WATER_BYTES && !this.#paused) {
      this.#paused = true;
      this.#ws.pause();
    }
  }

  #onDrain(): void {
    if (this.#paused) {
      this.#paused = false;
      this.#ws.resume();
    }
    for (const active of this.#active.values()) active.wake?.();
  }

  #onClose(): void {
    this.cancelAll(new KernelError('CANCELLED', 'the caller disconnected'));
    this.#ports.onClosed(this);
  }
}
