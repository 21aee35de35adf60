/** Plain HTTP on a control socket: `POST /rpc`, and GET `/healthz /readyz /diagz` for probes and people with curl. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { SocketKind } from '../../Kernel/contract/operations/define.ts';
import type { ConnectionCount, GateAnswer, GateRequest, Principal } from '../../Kernel/gate/call.ts';
import type { Gate } from '../../Kernel/gate/gate.ts';
import type { RunningCall } from '../../Kernel/gate/running-call.ts';
import { parseFrame } from './frame.ts';
import { encodeFailure, encodeResult } from './reply.ts';

/** A probe that has no answer by then counts as not ready. */
const PROBE_TIMEOUT_MS = 2_000;
/** A collected stream that has not ended by then is given up. */
const COLLECT_TIMEOUT_MS = 30_000;
const MAX_COLLECTED_ITEMS = 10_000;
/** Bodies up to this many times the limit are read to their end before they are refused. */
const DISCARDED_FACTOR = 4;

export type HttpPorts = {
  readonly gate: Gate;
  readonly principal: Principal;
  readonly socketKind: SocketKind;
  readonly maxFrameBytes: () => number;
  /** Requests of `POST /rpc` in flight, kept here so that they can be waited for and withdrawn. */
  readonly calls: Set<RunningCall>;
};

type Route = (request: IncomingMessage, response: ServerResponse, ports: HttpPorts) => Promise<void>;

/** Answers one HTTP request; never throws. */
export const serveHttp = async (
  request: IncomingMessage,
  response: ServerResponse,
  ports: HttpPorts,
): Promise<void> => {
  const path = (request.url ?? '').split('?', 1)[0]!;
  const reading = request.method === 'GET' || request.method === 'HEAD';
  try {
    if (path === '/rpc' && request.method === 'POST') return await rpc(request, response, ports);
    const route = READ_ROUTES.get(path);
    if (route !== undefined && reading) return await route(request, response, ports);
    const known = route !== undefined || path === '/rpc';
    sendError(
      response,
      known ? 405 : 404,
      new KernelError('NOT_FOUND', known ? 'this method is not served here' : 'there is nothing at this path'),
    );
  } catch (thrown) {
    sendError(response, 500, toKernelError(thrown));
  }
};

const healthz: Route = async (_request, response) => send(response, 200, '{"ok":true}');

const readyz: Route = async (request, response, ports) => {
  try {
    const health = (await query(request, ports, 'kernel.health')) as { mode: string };
    const ready = health.mode === 'running' || health.mode === 'degraded';
    send(response, ready ? 200 : 503, JSON.stringify(health));
  } catch (thrown) {
    send(response, 503, JSON.stringify({ ok: false, mode: null, reasons: [toKernelError(thrown).message] }));
  }
};

const diagz: Route = async (request, response, ports) =>
  send(response, 200, JSON.stringify(await query(request, ports, 'kernel.diagnostics')));

const READ_ROUTES: ReadonlyMap<string, Route> = new Map([
  ['/healthz', healthz],
  ['/readyz', readyz],
  ['/diagz', diagz],
]);

const query = async (request: IncomingMessage, ports: HttpPorts, method: string): Promise<unknown> => {
  const answer = await ports.gate.dispatch({
    method,
    params: {},
    principal: ports.principal,
    socket: ports.socketKind,
    connection: countOf(request.socket),
    timeoutMs: PROBE_TIMEOUT_MS,
  });
  return answer.kind === 'result' ? answer.value : null;
};

/** One JSON-RPC request in, one reply out. The caller hanging up withdraws the request. */
const rpc: Route = async (request, response, ports) => {
  const maxBytes = ports.maxFrameBytes();
  const body = await readBody(request, maxBytes);
  if (body === null) {
    // The rest of the body may be unread, so the connection cannot be used again.
    response.setHeader('connection', 'close');
    const error = new KernelError('PAYLOAD_TOO_LARGE', `the request is larger than ${maxBytes} bytes`, {
      context: { maxBytes },
    });
    return send(response, 413, encodeFailure(null, error));
  }
  const frame = parseFrame(body);
  if (frame.kind === 'invalid') return send(response, 400, encodeFailure(frame.id, frame.error));
  if (frame.kind === 'notification') {
    return send(
      response,
      400,
      encodeFailure(null, new KernelError('INVALID_REQUEST', 'id: expected one, since every request here has a reply')),
    );
  }
  const call: GateRequest = {
    method: frame.method,
    params: frame.params,
    principal: ports.principal,
    socket: ports.socketKind,
    connection: countOf(request.socket),
  };
  const text = await answerText(call, response, ports).then(
    (value) => encodeResult(frame.id, value, maxBytes),
    (thrown: unknown) => encodeFailure(frame.id, toKernelError(thrown)),
  );
  send(response, 200, text);
};

const answerText = async (request: GateRequest, response: ServerResponse, ports: HttpPorts): Promise<unknown> => {
  const call = ports.gate.start(request);
  const onClose = (): void => call.cancel(new KernelError('CANCELLED', 'the caller disconnected'));
  response.once('close', onClose);
  ports.calls.add(call);
  try {
    const answer: GateAnswer = await call.answer;
    if (answer.kind === 'result') return answer.value;
    if ((call.params as { follow?: unknown }).follow === true) {
      throw new KernelError('INVALID_PARAMS', 'following needs a WebSocket; POST /rpc answers once', {
        context: { issues: [{ path: 'params.follow', expected: 'false' }] },
      });
    }
    return await collect(answer.items, ports.maxFrameBytes());
  } catch (thrown) {
    call.cancel(toKernelError(thrown));
    throw thrown;
  } finally {
    response.off('close', onClose);
    ports.calls.delete(call);
  }
};

const collect = async (items: AsyncIterable<unknown>, maxBytes: number): Promise<unknown[]> => {
  const collected: unknown[] = [];
  const endsAtMs = performance.now() + COLLECT_TIMEOUT_MS;
  let bytes = 0;
  for await (const item of items) {
    collected.push(item);
    bytes += JSON.stringify(item).length;
    if (collected.length > MAX_COLLECTED_ITEMS || bytes > maxBytes) {
      throw new KernelError('PAYLOAD_TOO_LARGE', 'the answer is too large for one reply; ask for fewer items');
    }
    if (performance.now() > endsAtMs) throw new KernelError('DEADLINE_EXCEEDED', 'the answer took too long to collect');
  }
  return collected;
};

/**
 * The text of the body, or null when it is over the limit. What is too much is read and thrown away, up to a
 * bound: a client that is cut off while it still sends sees a broken pipe in the place of the refusal.
 */
const readBody = async (request: IncomingMessage, maxBytes: number): Promise<string | null> => {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > DISCARDED_FACTOR * maxBytes) return null;
  let chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > DISCARDED_FACTOR * maxBytes) return null;
    if (announced > maxBytes || bytes > maxBytes) chunks = [];
    else chunks.push(chunk);
  }
  return bytes > maxBytes ? null : Buffer.concat(chunks).toString();
};

const counts = new WeakMap<object, ConnectionCount>();
const countOf = (socket: object): ConnectionCount => {
  const known = counts.get(socket);
  if (known !== undefined) return known;
  const count = { inFlight: 0 };
  counts.set(socket, count);
  return count;
};

const send = (response: ServerResponse, status: number, body: string): void => {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
};

const sendError = (response: ServerResponse, status: number, error: KernelError): void =>
  send(response, status, JSON.stringify({ error: error.toBody() }));
