/**
 * One connection of one agent: hello first, then requests in both directions, output under credit.
 *
 * Whatever the peer does wrong ends in one `onViolation`; a connection that merely breaks ends in
 * `onEnded`. After either, nothing of this connection is called again and no timer of it is left.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { Clock, Log, Random } from '../../Kernel/contract/ports.ts';
import { OUTPUT_RESERVE_BYTES, outputCostBytes, REQUEST_FRAMES } from '../../Kernel/contract/wire/agent.constants.ts';
import { AGENT_REQUESTS, outputParamsSchema, type AgentRequestName } from '../../Kernel/contract/wire/agent.schema.ts';
import { CANCEL_METHOD, encodeError, type RequestFrame } from '../../Kernel/contract/wire/jsonrpc.schema.ts';
import { createAgentRequests } from './agent-requests.ts';
import { newBudget, stepBudget, type BudgetEvent } from './budget.machine.ts';
import { parseFrame, type Frame } from './frame.ts';
import { judgeHello, notHello } from './hello.verdict.ts';
import type { InstanceLink, LinkHandlers, LinkLimits } from './link.ts';
import { createOutputGrant, type OutputGrant } from './output-grant.ts';
import { createOutbox } from './outbox.ts';
import { createPendingRequests } from './pending-requests.ts';
import { createTimers } from './timers.ts';
import { violationOf } from './ws-error.ts';

/** An agent says hello as its first act; one that does not is no agent. */
export const HELLO_TIMEOUT_MS = 5000;

/** Requests of the kernel itself that find room beside the calls of others. */
const CONTROL_IN_FLIGHT = 16;

export type ConnectionOptions = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly instance: string;
  readonly limits: LinkLimits;
  readonly outputBytesPerSecond: () => number;
  readonly handlers: Pick<LinkHandlers, 'onHello' | 'onOutput' | 'onRequest'>;
  readonly onViolation: (error: KernelError, greeted: boolean) => void;
  /** `greeted`: the hello had been accepted. */
  readonly onEnded: (greeted: boolean) => void;
};

export type Connection = Pick<InstanceLink, 'connected' | 'writable' | 'request' | 'notify' | 'inFlight'> & {
  /** Breaks the connection off; calls nothing back. Requests in flight are rejected. */
  readonly destroy: () => void;
};

const isAgentRequest = (method: string): method is AgentRequestName => Object.hasOwn(AGENT_REQUESTS, method);

export const createConnection = (ws: WebSocket, socket: Socket, options: ConnectionOptions): Connection => {
  const { clock, log, limits, handlers } = options;
  const timers = createTimers(clock);
  const pending = createPendingRequests({ clock, random: options.random });
  let greeted = false;
  let ended = false;
  let budget = newBudget(clock.monotonicMs());
  let grant: OutputGrant | undefined;

  const finish = (): boolean => {
    if (ended) return false;
    ended = true;
    timers.dispose();
    ws.terminate();
    pending.rejectAll(() => new KernelError('INSTANCE_LOST', 'the connection to the instance was lost'));
    return true;
  };
  const violate = (error: KernelError): void => {
    if (finish()) options.onViolation(error, greeted);
  };
  const outbox = createOutbox({
    ws,
    socket,
    timers,
    maxFrameBytes: limits.maxFrameBytes,
    onStuck: () => violate(new KernelError('LIMIT_EXCEEDED', 'the instance does not read what it is sent')),
  });

  const account = (event: BudgetEvent): void => {
    const { state, effect } = stepBudget(budget, event, limits, clock.monotonicMs());
    budget = state;
    if (effect.kind === 'pause') {
      ws.pause();
      timers.after(Math.max(1, effect.untilMs - clock.monotonicMs()), () => account({ kind: 'windowEnded' }));
    } else if (effect.kind === 'resume') {
      ws.resume();
    } else if (effect.kind === 'violation') {
      violate(new KernelError('LIMIT_EXCEEDED', `the instance sent ${effect.reason}`));
    }
  };

  const serve = createAgentRequests({ maxInFlight: limits.maxInFlight, onRequest: handlers.onRequest });
  const reply = (id: RequestFrame['id'], outcome: object): void => {
    if (id !== undefined && !ended) outbox.trySend(JSON.stringify({ jsonrpc: '2.0', id, ...outcome }));
  };
  const replyError = (id: RequestFrame['id'], error: KernelError): void => reply(id, { error: encodeError(error) });

  const greet = ({ id, method, params }: RequestFrame): void => {
    const hello = id === undefined ? notHello() : judgeHello(method, params, options.instance);
    if (hello instanceof KernelError) return violate(hello);
    // Connected before the handler runs, so that it may already send; the reply still goes out first or
    // not at all, and the agent takes requests in any order.
    greeted = true;
    try {
      const answer = handlers.onHello(hello);
      grant = createOutputGrant({
        clock,
        timers,
        windowBytes: answer.outputCreditBytes,
        bytesPerSecond: options.outputBytesPerSecond,
        reserveBytes: OUTPUT_RESERVE_BYTES,
        notify,
      });
      const { maxFrameBytes, maxDepth, framesPerSecond, bytesPerSecond } = limits;
      reply(id, { result: { ...answer, maxFrameBytes, maxDepth, framesPerSecond, bytesPerSecond } });
    } catch (thrown) {
      replyError(id, toKernelError(thrown));
      outbox.flush();
      log.info('an instance was turned away', { instance: options.instance, error: toKernelError(thrown).message });
      // Not a breach but the caller's decision.
      if (finish()) options.onEnded(true);
      return;
    }
    stopHelloTimer();
  };

  const takeOutput = (params: unknown): void => {
    const output = outputParamsSchema.safeParse(params);
    if (!output.success) return violate(new KernelError('PROTOCOL', 'an output message does not fit its schema'));
    const covered = grant?.spend(outputCostBytes(Buffer.byteLength(output.data.text)));
    if (covered !== true)
      return violate(new KernelError('LIMIT_EXCEEDED', 'the instance sent output beyond its credit'));
    handlers.onOutput(output.data);
  };

  const settle = (frame: Exclude<Frame, { kind: 'request' }>): boolean => {
    const entry = pending.take(frame.id);
    // An unmatched reply is dropped; only a late one was ever asked for.
    if (entry === undefined) return pending.wasAbandoned(frame.id);
    if (frame.kind === 'error') {
      entry.reject(frame.error);
    } else if (entry.method === 'call' || !isAgentRequest(entry.method)) {
      entry.resolve(frame.result);
    } else {
      const parsed = AGENT_REQUESTS[entry.method].result.safeParse(frame.result);
      if (parsed.success) entry.resolve(parsed.data);
      else
        entry.reject(
          new KernelError('PROTOCOL', `the answer to ${entry.method} does not fit`, { cause: parsed.error }),
        );
    }
    return true;
  };

  const receive = (text: Buffer): void => {
    const frame = parseFrame(text, limits.maxDepth);
    if (frame.kind !== 'request') {
      if (!settle(frame)) account({ kind: 'unsolicitedFrame', bytes: text.length });
      return;
    }
    const { request } = frame;
    // Output is asked for by credit, which bounds its lines and bytes more tightly than the budget.
    if (greeted && request.method === 'output' && request.id === undefined) return takeOutput(request.params);
    account({ kind: 'unsolicitedFrame', bytes: text.length, frames: REQUEST_FRAMES });
    if (ended) return;
    if (!greeted) return greet(request);
    if (request.method === 'hello') return violate(new KernelError('PROTOCOL', 'the instance said hello twice'));
    // A notification nobody knows is dropped, and was counted; `serve` handles its own failures.
    if (request.id !== undefined) void serve(request, reply);
  };

  const notify = (method: string, params: unknown): void => {
    if (greeted && !ended) outbox.trySend(JSON.stringify({ jsonrpc: '2.0', method, params }));
  };

  const request: Connection['request'] = async (method, params, requestOptions) => {
    if (!greeted || ended) throw new KernelError('INSTANCE_LOST', 'the instance is not connected');
    if (requestOptions.signal?.aborted === true) throw new KernelError('CANCELLED', `${method} was withdrawn`);
    // A full house must not stop the heartbeat: that would end the instance for being busy.
    const allowed = method === 'call' ? limits.maxInFlight : limits.maxInFlight + CONTROL_IN_FLIGHT;
    if (pending.size() >= allowed) {
      throw new KernelError('LIMIT_EXCEEDED', `${limits.maxInFlight} requests are in flight to the instance`);
    }
    // Before the work of encoding: a peer that does not read must not cost that either.
    // Control is small and bounded in number; a refusal would read as a failed heartbeat.
    if (method === 'call') outbox.assertWritable();
    const body = `,"method":${JSON.stringify(method)},"params":${JSON.stringify(params ?? null)}}`;
    return pending.add(
      method,
      requestOptions,
      (id) => outbox.send(`{"jsonrpc":"2.0","id":"${id}"${body}`),
      (id) => notify(CANCEL_METHOD, { id }),
    );
  };

  const stopHelloTimer = timers.after(HELLO_TIMEOUT_MS, () => {
    if (finish()) options.onEnded(false);
  });
  socket.on('data', (chunk: Buffer) => {
    if (!ended) account({ kind: 'bytesReceived', bytes: chunk.length });
  });
  ws.on('message', (data: Buffer, isBinary: boolean) => {
    // The WebSocket layer empties the chunk it holds even after the connection was given up.
    if (ended) return;
    try {
      if (isBinary) throw new KernelError('PROTOCOL', 'the instance sent a binary frame');
      receive(data);
    } catch (thrown) {
      // Only `parseFrame` throws on purpose; a handler that throws is the kernel's own fault, yet this
      // connection has no good state to go on from either way.
      violate(toKernelError(thrown));
    }
  });
  const countControl = (data: Buffer): void => {
    if (!ended) account({ kind: 'unsolicitedFrame', bytes: data.length + 6 });
  };
  // Answered here and not by the WebSocket layer, which drops the connection of a peer with many pings
  // open: the flooder would be back at once, where a violation ends it.
  ws.on('ping', (data: Buffer) => {
    countControl(data);
    if (!ended && !budget.paused && outbox.writable()) ws.pong(data);
  });
  ws.on('pong', countControl);
  ws.on('error', (error: Error) => {
    const violation = violationOf(error, limits.maxFrameBytes);
    if (violation !== undefined) violate(violation);
  });
  ws.on('close', () => {
    if (finish()) options.onEnded(greeted);
  });

  return {
    connected: () => greeted && !ended,
    writable: () => greeted && !ended && outbox.writable(),
    inFlight: pending.size,
    request,
    notify,
    destroy: () => void finish(),
  };
};
