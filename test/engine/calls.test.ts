/** Calls end to end: deadlines, cancellation, load, size, and what happens when the instance goes meanwhile. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { eventually, startKernel, type KernelUnderTest } from '../support/kernel.ts';

let kernel: KernelUnderTest;
beforeAll(async () => {
  kernel = await startKernel();
  await kernel.install({
    name: 'caller',
    code: `const seen = new Map();
const sleep = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
});
/** Waits for the end of time or of its signal, and remembers which it was. */
export const wait = async ({ key, ms }, ctx) => {
  seen.set(key, { state: 'running', deadlineInMs: ctx.deadline - Date.now() });
  await sleep(ms, ctx.signal);
  seen.set(key, { ...seen.get(key), state: ctx.signal.aborted ? 'aborted' : 'done', reason: ctx.signal.reason?.code ?? null });
  // An answer that is as quick as the deadline itself would count.
  if (ctx.signal.aborted) await sleep(300);
  return 'waited';
};
export const bounded = wait;
export const look = ({ key }) => seen.get(key) ?? null;
export const echo = (params) => params;
export const big = ({ bytes }) => 'x'.repeat(bytes);
export const slow = async () => { await sleep(300); return 'slow'; };
export const pid = () => process.uptime();`,
    functions: { wait: {}, bounded: { timeout: '300ms' }, look: {}, echo: {}, big: {}, slow: {}, pid: {} },
  });
  const dies = `let calls = 0;
export const hang = async () => { calls += 1; await new Promise(() => setTimeout(() => {}, 60_000)); };
export const once = async ({ first }) => { if (process.uptime() < 0) return; await new Promise((resolve) => setTimeout(resolve, 400)); return 'answered'; };
export const ping = () => 'pong';
export const exit = () => process.exit(3);`;
  await kernel.install({ name: 'mortal', code: dies, functions: { hang: {}, ping: {}, once: {}, exit: {} } });
  await kernel.install({
    name: 'repeatable',
    code: dies,
    functions: { once: { idempotent: true }, exit: { idempotent: true }, ping: {} },
  });
});
afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});

type Seen = { state: string; reason: string | null; deadlineInMs: number } | null;
const look = async (key: string): Promise<Seen> => (await kernel.call('caller', 'look', { key })) as Seen;
const seen = (key: string, state: string): Promise<NonNullable<Seen>> =>
  eventually(`the call ${key} is ${state}`, async () => {
    const found = await look(key);
    return found?.state === state ? found : null;
  });
const codeOf = (error: unknown): string => (error instanceof KernelError ? error.code : String(error));
const begun = (module: string, name: string, params: unknown = {}) => {
  const answer = kernel.call(module, name, params);
  answer.catch(() => undefined);
  return answer;
};
/** Resolves when a call is under way in the instance. */
const inFlight = (count: number) =>
  eventually(`${count} calls are in flight`, async () => {
    const { gate } = (await kernel.rpc('kernel.diagnostics', {})) as { gate: { inFlight: number } };
    return gate.inFlight >= count + 1;
  });

describe('a deadline', () => {
  it('ends the call for the caller and aborts ctx.signal inside', async () => {
    const began = performance.now();
    await expect(kernel.call('caller', 'wait', { key: 'late', ms: 30_000 }, 250)).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect(performance.now() - began).toBeLessThan(1_500);
    const inside = await seen('late', 'aborted');
    expect(['DEADLINE_EXCEEDED', 'CANCELLED']).toContain(inside.reason);
    expect(inside.deadlineInMs).toBeLessThanOrEqual(250);
  });

  it('from the manifest is an upper bound that a caller may shorten, never lengthen', async () => {
    const began = performance.now();
    await expect(kernel.call('caller', 'bounded', { key: 'upper', ms: 30_000 }, 20_000)).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect(performance.now() - began).toBeLessThan(1_500);
    expect((await seen('upper', 'aborted')).deadlineInMs).toBeLessThanOrEqual(300);
    await expect(kernel.call('caller', 'bounded', { key: 'lower', ms: 30_000 }, 60)).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect((await seen('lower', 'aborted')).deadlineInMs).toBeLessThanOrEqual(60);
  });

  it('is told by kernelctl with its code, and exit 1', async () => {
    const { status, stdout } = await kernel.ctl([
      'module',
      'call',
      'caller',
      'wait',
      '{"key":"cli","ms":30000}',
      '--timeout',
      '200ms',
      '--json',
    ]);
    expect(status).toBe(1);
    expect((JSON.parse(stdout) as { error: { code: string } }).error.code).toBe('DEADLINE_EXCEEDED');
    expect((await seen('cli', 'aborted')).state).toBe('aborted');
  });

  it('that passed leaves the instance in service', async () => {
    const pid = await kernel.instancePid('caller');
    await expect(kernel.call('caller', 'wait', { key: 'again', ms: 5_000 }, 50)).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect(await kernel.call('caller', 'echo', 1)).toBe(1);
    expect(await kernel.instancePid('caller')).toBe(pid);
  });
});

describe('a cancelled call', () => {
  it('is aborted inside when the caller withdraws it', async () => {
    await using client = await kernel.client();
    const controller = new AbortController();
    const answer = client.call(
      'module.call',
      { module: 'caller', function: 'wait', params: { key: 'withdrawn', ms: 30_000 } },
      { signal: controller.signal },
    );
    answer.catch(() => undefined);
    await seen('withdrawn', 'running');
    controller.abort();
    await expect(answer).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await seen('withdrawn', 'aborted')).toMatchObject({ reason: 'CANCELLED' });
  });

  it('is aborted inside when the connection of the caller ends', async () => {
    const client = await kernel.client();
    const answer = client.call('module.call', {
      module: 'caller',
      function: 'wait',
      params: { key: 'gone', ms: 30_000 },
    });
    answer.catch(() => undefined);
    await seen('gone', 'running');
    await client.close();
    expect(await seen('gone', 'aborted')).toMatchObject({ reason: 'CANCELLED' });
    await eventually('nothing is in flight but the question itself', async () => {
      const { gate } = (await kernel.rpc('kernel.diagnostics', {})) as { gate: { inFlight: number } };
      return gate.inFlight === 1;
    });
  });

  it('is aborted inside when kernelctl is interrupted', async () => {
    const answer = kernel.ctl(['module', 'call', 'caller', 'wait', '{"key":"ctrl-c","ms":30000}'], {
      timeoutMs: 1_000,
    });
    await seen('ctrl-c', 'running');
    await answer;
    expect(await seen('ctrl-c', 'aborted')).toMatchObject({ reason: 'CANCELLED' });
  });
});

describe('many calls', () => {
  it('two hundred at once each get their own answer', async () => {
    await using client = await kernel.client();
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        client.call('module.call', { module: 'caller', function: 'echo', params: { index } }),
      ),
    );
    expect(answers).toEqual(Array.from({ length: 200 }, (_, index) => ({ index })));
    const posted = await Promise.all(
      Array.from({ length: 50 }, (_, index) => kernel.call('caller', 'echo', { index })),
    );
    expect(posted.map((answer) => (answer as { index: number }).index)).toEqual(
      Array.from({ length: 50 }, (_, index) => index),
    );
  });

  it('a slow one holds up no other', async () => {
    const order: string[] = [];
    const slow = kernel.call('caller', 'slow').then(() => order.push('slow'));
    await Promise.all(Array.from({ length: 10 }, () => kernel.call('caller', 'echo', 1)));
    order.push('quick');
    await slow;
    expect(order).toEqual(['quick', 'slow']);
  });
});

describe('size', () => {
  it('takes and gives a megabyte', async () => {
    const text = 'ü'.repeat(500_000);
    expect(await kernel.call('caller', 'echo', { text })).toEqual({ text });
    expect(await kernel.call('caller', 'big', { bytes: 1_000_000 })).toHaveLength(1_000_000);
  });

  it('over the limit is refused, and the instance stays', async () => {
    const pid = await kernel.instancePid('caller');
    await expect(kernel.call('caller', 'echo', 'x'.repeat(6 * 1024 * 1024))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    await expect(kernel.call('caller', 'echo', 'x'.repeat(18 * 1024 * 1024))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    const big = await kernel.call('caller', 'big', { bytes: 6 * 1024 * 1024 }).catch((error: unknown) => error);
    expect(big).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    let deep: unknown = 1;
    for (let depth = 0; depth < 200; depth += 1) deep = [deep];
    await expect(kernel.call('caller', 'echo', deep)).rejects.toMatchObject({
      code: expect.stringMatching(/INVALID_(PARAMS|REQUEST)/),
    });
    expect(await kernel.call('caller', 'echo', 1)).toBe(1);
    expect(await kernel.instancePid('caller')).toBe(pid);
  });

  it('parameters may come from standard input', async () => {
    const input = JSON.stringify({ text: 'y'.repeat(300_000) });
    const { status, stdout } = await kernel.ctl(['module', 'call', 'caller', 'echo', '-'], { input });
    expect(status).toBe(0);
    expect(stdout).toBe(`${input}\n`);
  });

  it('parameters that are not JSON are a mistake of usage', async () => {
    expect((await kernel.ctl(['module', 'call', 'caller', 'echo', '{no'])).status).toBe(2);
  });
});

describe('when the instance goes', () => {
  it('a call in flight ends with INSTANCE_LOST, told at once', async () => {
    await kernel.call('mortal', 'ping');
    const answer = begun('mortal', 'hang');
    await inFlight(1);
    const pid = await kernel.instancePid('mortal');
    const began = performance.now();
    process.kill(pid, 'SIGKILL');
    await expect(answer).rejects.toMatchObject({ code: 'INSTANCE_LOST' });
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it('a call that comes meanwhile waits for the next instance', async () => {
    const pid = await kernel.instancePid('mortal');
    process.kill(pid, 'SIGKILL');
    const answers = await Promise.all(Array.from({ length: 20 }, () => kernel.call('mortal', 'ping').catch(codeOf)));
    // Those that had reached the old instance are lost; whoever came later is served.
    expect(answers.filter((answer) => answer !== 'pong' && answer !== 'INSTANCE_LOST')).toEqual([]);
    expect(await kernel.call('mortal', 'ping')).toBe('pong');
  });

  it('an idempotent function is called once more, on the next instance', async () => {
    await kernel.call('repeatable', 'ping');
    const pid = await kernel.instancePid('repeatable');
    const answer = begun('repeatable', 'once');
    await inFlight(1);
    process.kill(pid, 'SIGKILL');
    expect(await answer).toBe('answered');
    expect(await kernel.instancePid('repeatable')).not.toBe(pid);
  });

  it('only once: one that ends its instance each time is lost', async () => {
    const before = await restarts('repeatable');
    await expect(kernel.call('repeatable', 'exit')).rejects.toMatchObject({ code: 'INSTANCE_LOST' });
    expect(await kernel.call('repeatable', 'ping')).toBe('pong');
    expect((await restarts('repeatable')) - before).toBe(2);
  });

  it('calls during a module restart are all served', async () => {
    let going = true;
    const outcomes: unknown[] = [];
    const caller = (async () => {
      while (going) outcomes.push(await kernel.call('mortal', 'ping').catch(codeOf));
    })();
    await kernel.rpc('module.restart', { module: 'mortal' });
    await kernel.rpc('module.restart', { module: 'mortal' });
    going = false;
    await caller;
    expect(outcomes.length).toBeGreaterThan(5);
    expect(new Set(outcomes)).toEqual(new Set(['pong']));
  });

  it('calls during a zone restart are all served', async () => {
    const pid = await kernel.instancePid('mortal');
    const restarting = kernel.rpc('zone.restart', { zone: 'sandbox' });
    await eventually(
      'the old instance is gone',
      async () => !(await kernel.status()).zones[1]!.instances.some((row) => row.pid === pid && row.state === 'ready'),
    );
    expect(await kernel.call('mortal', 'ping')).toBe('pong');
    expect(await restarting).toMatchObject({ state: 'ready' });
  });

  it('a call in flight is finished before the instance is drained', async () => {
    const answer = kernel.call('caller', 'slow');
    answer.catch(() => undefined);
    await inFlight(1);
    const pid = await kernel.instancePid('caller');
    await kernel.rpc('module.restart', { module: 'caller' });
    expect(await answer).toBe('slow');
    expect(await kernel.instancePid('caller')).not.toBe(pid);
  });

  it('calls are refused with advice while the zone is stopped, and served when it is back', async () => {
    await kernel.rpc('zone.stop', { zone: 'sandbox' });
    await expect(kernel.call('mortal', 'ping')).rejects.toMatchObject({
      code: 'MODULE_UNAVAILABLE',
      retryAfterMs: expect.any(Number),
    });
    await kernel.rpc('zone.start', { zone: 'sandbox' });
    expect(await kernel.call('mortal', 'ping')).toBe('pong');
  });

  it('and the kernel goes too, the same instance answers the next kernel', async () => {
    const pid = await kernel.instancePid('caller');
    const answer = begun('caller', 'wait', { key: 'orphan', ms: 60_000 });
    await seen('orphan', 'running');
    await kernel.kill9();
    await expect(answer).rejects.toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|NO_KERNEL/) });
    await kernel.start();
    expect(await kernel.instancePid('caller')).toBe(pid);
    expect(await seen('orphan', 'aborted')).toMatchObject({ reason: 'CANCELLED' });
  });
});

const restarts = async (module: string): Promise<number> =>
  (await kernel.status()).zones.flatMap(({ instances }) => instances).find((row) => row.module === module)?.restarts ??
  0;
