import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { OPERATIONS } from '../../../../Kernel/contract/operations/index.ts';
import type { Handlers, KernelMode, Step } from '../../../../Kernel/gate/call.ts';
import { createGate } from '../../../../Kernel/gate/gate.ts';
import { standardSteps } from '../../../../Kernel/gate/steps/standard-steps.ts';
import { createClock } from '../../../../daemon/adapters/clock.ts';
import { event, handlers, OPERATOR, testGate } from '../../../support/gate-fixture.ts';

const forever = () => new Promise<never>(() => undefined);
const call = { module: 'greeter', function: 'hello', params: { name: 'Ada' } };
const code = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof KernelError ? error.code : `foreign ${String(error)}`),
  );

describe('the gate answers', () => {
  it('with the result of the handler, its params parsed and defaults filled in', async () => {
    const { ask } = testGate();
    expect(await ask('module.call', call)).toEqual({ kind: 'result', value: { echo: { name: 'Ada' } } });
    expect(await ask('kernel.health', undefined)).toMatchObject({ kind: 'result', value: { mode: 'running' } });
  });

  it('METHOD_NOT_FOUND to names that only a prototype knows, and to operations of another socket', async () => {
    const { ask } = testGate();
    for (const method of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'kernel.statu']) {
      expect(await code(ask(method)), method).toBe('METHOD_NOT_FOUND');
    }
    expect(await code(ask('kernel.health', {}, { socket: 'federation' }))).toBe('METHOD_NOT_FOUND');
    expect(await code(ask('zone.stop', { wrong: 1 }, { socket: 'federation' }))).toBe('METHOD_NOT_FOUND');
  });

  it('INVALID_PARAMS with path and expectation, and a bounded message', async () => {
    const { ask } = testGate();
    await expect(ask('zone.stop', { zone: 'attic' })).rejects.toThrow(/params\.zone: .*"stable"\|"sandbox"/);
    await expect(ask('event.follow', { limit: 'many' })).rejects.toThrow(/params\.limit: expected (int|number)/);
    for (const params of [null, [], 7, 'x', true]) expect(await code(ask('zone.stop', params))).toBe('INVALID_PARAMS');
    const hostile = await ask('zone.stop', { ['x'.repeat(100_000)]: 1 }).catch(
      (error: unknown) => error as KernelError,
    );
    expect((hostile as KernelError).message.length).toBeLessThan(2_000);
  });

  it('INTERNAL, and an event, when a handler throws something foreign or gives what it must not', async () => {
    const { ask, published } = testGate({
      'zone.list': () => {
        throw new TypeError('x is not a function');
      },
      'kernel.doctor': async () => ({ ok: 'yes' }) as never,
    });
    expect(await code(ask('zone.list'))).toBe('INTERNAL');
    expect(await code(ask('kernel.doctor'))).toBe('INTERNAL');
    expect(published.map((item) => item.kind)).toEqual(['operationFaulted', 'operationFaulted']);
  });

  it('with no field that the declaration does not name', async () => {
    const { ask } = testGate({
      'kernel.health': async () => ({ ok: true, mode: 'running', reasons: [], secret: 1 }) as never,
    });
    expect(await ask('kernel.health')).toEqual({ kind: 'result', value: { ok: true, mode: 'running', reasons: [] } });
  });

  it('the code that a handler chose', async () => {
    const { ask, published } = testGate({
      'module.call': async () => {
        throw new KernelError('MODULE_ERROR', 'no', { retryAfterMs: 5 });
      },
    });
    await expect(ask('module.call', call)).rejects.toMatchObject({ code: 'MODULE_ERROR', retryAfterMs: 5 });
    expect(published).toEqual([]);
  });
});

describe('the mode', () => {
  const allowed = async (mode: KernelMode) => {
    const { ask } = testGate({}, { mode: () => mode });
    return [
      await code(ask('kernel.health')),
      await code(ask('zone.stop', { zone: 'sandbox' })),
      await code(ask('zone.start', { zone: 'sandbox' })),
    ];
  };
  it('safe refuses what is not declared for it', async () => {
    expect(await allowed('safe')).toEqual(['no error', 'no error', 'SAFE_MODE']);
  });
  it('stopping refuses commands and answers queries', async () => {
    expect(await allowed('stopping')).toEqual(['no error', 'STOPPING', 'STOPPING']);
  });
  it('any other refuses nothing', async () => {
    expect(await allowed('degraded')).toEqual(['no error', 'no error', 'no error']);
  });
});

describe('a deadline', () => {
  it('ends a handler that never answers, aborts its signal, and drops its late result', async () => {
    let signal: AbortSignal | undefined;
    let release = (_: unknown): void => undefined;
    const { gate, ask } = testGate({
      'zone.list': (_params, ctx) => {
        signal = ctx.signal;
        return new Promise((resolve) => (release = resolve as never));
      },
    });
    const startedMs = performance.now();
    expect(await code(ask('zone.list', {}, { timeoutMs: 50 }))).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(signal?.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(gate.figures()).toMatchObject({ inFlight: 0, abandoned: 1 });
    release([]);
    await sleep(1);
    expect(gate.figures()).toMatchObject({ inFlight: 0, abandoned: 0 });
  });

  it('holds for each of many, whatever their order', async () => {
    const { ask } = testGate({ 'zone.list': forever });
    const limits = Array.from({ length: 200 }, (_, i) => 20 + ((i * 37) % 200));
    const late = await Promise.all(
      limits.map(async (timeoutMs) => {
        const startedMs = performance.now();
        expect(await code(ask('zone.list', {}, { timeoutMs }))).toBe('DEADLINE_EXCEEDED');
        return performance.now() - startedMs - timeoutMs;
      }),
    );
    expect(Math.min(...late)).toBeGreaterThan(-1.5);
    expect(Math.max(...late)).toBeLessThan(500);
  });
});

describe('withdrawal', () => {
  it('ends the call at once and aborts the signal', async () => {
    let seen: AbortSignal | undefined;
    const { gate, ask } = testGate({
      'zone.list': (_params, ctx) => {
        seen = ctx.signal;
        return forever();
      },
    });
    const controller = new AbortController();
    const answer = code(ask('zone.list', {}, { signal: controller.signal }));
    controller.abort();
    expect(await answer).toBe('CANCELLED');
    expect(seen?.aborted).toBe(true);
    expect(gate.figures().inFlight).toBe(0);
  });
  it('before the start starts nothing', async () => {
    let started = 0;
    const { ask } = testGate({
      'zone.list': async () => {
        started += 1;
        return [];
      },
    });
    expect(await code(ask('zone.list', {}, { signal: AbortSignal.abort() }))).toBe('CANCELLED');
    expect(started).toBe(0);
  });
  it('reaches a handler that looks at its signal only afterwards', async () => {
    let late: boolean | undefined;
    const { gate } = testGate({
      'zone.list': async (_params, ctx) => {
        await sleep(5);
        late = ctx.signal.aborted;
        return [];
      },
    });
    const running = gate.start({ method: 'zone.list', params: {}, principal: OPERATOR, socket: 'operator' });
    running.cancel(new KernelError('CANCELLED', 'no more'));
    expect(await code(running.answer)).toBe('CANCELLED');
    await sleep(20);
    expect(late).toBe(true);
  });
});

describe('the limit', () => {
  it('bounds each connection and the whole, and gives places back whatever the end', async () => {
    const { gate, ask } = testGate({ 'zone.list': forever }, { perConnection: 3, total: 5 });
    const [a, b] = [{ inFlight: 0 }, { inFlight: 0 }];
    const ended: Promise<string>[] = [];
    for (let i = 0; i < 3; i += 1) ended.push(code(ask('zone.list', {}, { connection: a, timeoutMs: 30 })));
    await expect(ask('zone.list', {}, { connection: a })).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      retryAfterMs: 100,
    });
    for (let i = 0; i < 2; i += 1) ended.push(code(ask('zone.list', {}, { connection: b, timeoutMs: 30 })));
    expect(await code(ask('zone.list', {}, { connection: b }))).toBe('LIMIT_EXCEEDED');
    expect(await Promise.all(ended)).toEqual(Array(5).fill('DEADLINE_EXCEEDED'));
    expect([a, b]).toEqual([{ inFlight: 0 }, { inFlight: 0 }]);
    expect(await code(ask('kernel.health', {}, { connection: a }))).toBe('no error');
    expect(await code(ask('nothing', {}, { connection: a }))).toBe('METHOD_NOT_FOUND');
    expect([a, gate.figures().inFlight]).toEqual([{ inFlight: 0 }, 0]);
  });
});

describe('a stream', () => {
  const open = async (gate: ReturnType<typeof testGate>, params: unknown = { limit: 3 }, more: object = {}) => {
    const answer = await gate.ask('event.follow', params, more);
    if (answer.kind !== 'stream') throw new Error('expected a stream');
    return answer.items;
  };

  it('gives its items, holds its place until it ends, and then leaves', async () => {
    const connection = { inFlight: 0 };
    const gate = testGate();
    const items = await open(gate, { limit: 3 }, { connection });
    expect(connection.inFlight).toBe(1);
    const seen: unknown[] = [];
    for await (const item of items) seen.push((item as { seq: number }).seq);
    expect(seen).toEqual([1, 2, 3]);
    expect(connection.inFlight).toBe(0);
  });

  it('ends when its reader gives it up, and its handler cleans up', async () => {
    let cleaned = false;
    const gate = testGate({
      'event.follow': async function* () {
        try {
          for (let i = 1; ; i += 1) yield event(i);
        } finally {
          cleaned = true;
        }
      },
    });
    for await (const item of await open(gate)) if ((item as { seq: number }).seq === 5) break;
    await sleep(1);
    expect([cleaned, gate.gate.figures().inFlight]).toEqual([true, 0]);
  });

  it('ends in CANCELLED even when its handler ignores its signal', async () => {
    const gate = testGate({
      'event.follow': async function* () {
        yield event(1);
        await forever();
      },
    });
    const running = gate.gate.start({ method: 'event.follow', params: {}, principal: OPERATOR, socket: 'operator' });
    const answer = await running.answer;
    if (answer.kind !== 'stream') throw new Error('expected a stream');
    await answer.items.next();
    const waiting = code(answer.items.next());
    running.cancel(new KernelError('CANCELLED', 'enough'));
    expect(await waiting).toBe('CANCELLED');
    expect((await answer.items.next()).done).toBe(true);
    expect(gate.gate.figures().inFlight).toBe(0);
  });

  it('ends in INTERNAL at the first item that does not fit', async () => {
    const gate = testGate({
      'event.follow': async function* () {
        yield event(1);
        yield { seq: 'two' } as never;
      },
    });
    const items = await open(gate);
    await items.next();
    expect(await code(items.next())).toBe('INTERNAL');
    expect(gate.gate.figures().inFlight).toBe(0);
    expect(gate.published).toHaveLength(1);
  });
});

describe('the pipeline', () => {
  const traced = (trace: string[], name: string, enter: Step['enter'] = () => undefined): Step => ({
    name,
    enter: (pending) => {
      trace.push(`enter ${name}`);
      return enter(pending);
    },
    leave: (_pending, outcome) => trace.push(`leave ${name} ${outcome.ok ? 'ok' : outcome.error.code}`),
  });
  const gateOf = (extra: readonly Step[], changed: Partial<Handlers> = {}) => {
    const clock = createClock();
    const limits = () => ({ perConnection: 8, total: 8 });
    return createGate({
      operations: OPERATIONS,
      handlers: handlers(changed),
      clock,
      events: { publish: () => undefined },
      steps: [...standardSteps({ operations: OPERATIONS, mode: () => 'running', limits }), ...extra],
    });
  };
  const ask = (gate: ReturnType<typeof gateOf>, more: object = {}) =>
    gate.dispatch({ method: 'zone.list', params: {}, principal: OPERATOR, socket: 'operator', ...more });

  it('leaves in reverse order, only what was entered', async () => {
    const trace: string[] = [];
    const refuse = () => {
      throw new KernelError('DENIED', 'no');
    };
    const gate = gateOf([traced(trace, 'a'), traced(trace, 'b'), traced(trace, 'c', refuse), traced(trace, 'd')]);
    expect(await code(ask(gate))).toBe('DENIED');
    expect(trace).toEqual(['enter a', 'enter b', 'enter c', 'leave b DENIED', 'leave a DENIED']);
  });

  it('waits for a step that must wait, and leaves it when the caller went away meanwhile', async () => {
    const trace: string[] = [];
    const gate = gateOf([traced(trace, 'slow', () => sleep(30)), traced(trace, 'after')]);
    expect(await code(ask(gate))).toBe('no error');
    expect(trace).toEqual(['enter slow', 'enter after', 'leave after ok', 'leave slow ok']);
    trace.length = 0;
    const controller = new AbortController();
    const answer = code(ask(gate, { signal: controller.signal }));
    controller.abort();
    expect(await answer).toBe('CANCELLED');
    await sleep(50);
    expect(trace).toEqual(['enter slow', 'leave slow CANCELLED']);
    expect(gate.figures().inFlight).toBe(0);
  });

  it('turns a success into the error of a step that refuses the outcome', async () => {
    const gate = gateOf([
      {
        name: 'post',
        enter: () => undefined,
        leave: (_call, outcome) => {
          if (outcome.ok) throw new KernelError('CONFLICT', 'not as promised');
        },
      },
    ]);
    expect(await code(ask(gate))).toBe('CONFLICT');
    expect(gate.figures().inFlight).toBe(0);
  });

  it('does not start with a handler missing', () => {
    const { 'zone.list': _left, ...rest } = handlers();
    const limits = () => ({ perConnection: 8, total: 8 });
    const build = () =>
      createGate({
        operations: OPERATIONS,
        handlers: rest as Handlers,
        clock: createClock(),
        events: { publish: () => undefined },
        steps: standardSteps({ operations: OPERATIONS, mode: () => 'running', limits }),
      });
    expect(build).toThrow(/no handler for the operation zone\.list/);
  });
});
