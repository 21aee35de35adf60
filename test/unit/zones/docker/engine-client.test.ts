/** The client against a real server on a real Unix socket that behaves as an engine in trouble does. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import type { ContainerId, HomeId } from '../../../../Kernel/contract/ids.ts';
import type { Clock, Log } from '../../../../Kernel/contract/ports.ts';
import { createDockerEngine } from '../../../../zones/docker/docker-engine.ts';

const clock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
};
const log: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  critical: () => {},
  child: () => log,
};
const container = 'c'.repeat(64) as ContainerId;

let directory: string;
let server: Server;
const serve = async (listener: RequestListener) => {
  server = createServer(listener);
  const socketPath = join(directory, 'docker.sock');
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return createDockerEngine({ socketPath, clock, log, requestTimeoutMs: 200 });
};
const never = new AbortController().signal;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kerneld-engine-'));
});
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('an engine that', () => {
  it('never answers is ENGINE_UNREACHABLE after the time limit', async () => {
    const engine = await serve(() => {});
    await expect(engine.ping(never)).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' });
  });

  it('breaks off in the middle of an answer is ENGINE_UNREACHABLE', async () => {
    const engine = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"half":');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(engine.inspect(container, never)).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' });
  });

  it('is not there is ENGINE_UNREACHABLE at once', async () => {
    const engine = createDockerEngine({ socketPath: join(directory, 'none.sock'), clock, log, requestTimeoutMs: 200 });
    await expect(engine.ping(never)).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' });
  });

  it('refuses is ENGINE_FAILED with its words', async () => {
    const engine = await serve((_request, response) => response.writeHead(500).end('{"message":"disk full"}'));
    await expect(engine.start(container, never)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: expect.stringContaining('disk full'),
    });
  });

  it.each([
    [500, '{"message":"disk full"}', '(HTTP 500): "disk full"'],
    [431, 'no JSON at all', '(HTTP 431): "Request Header Fields Too Large"'],
    [400, '{"message":""}', '(HTTP 400): "Bad Request"'],
    [409, '[1]', '(HTTP 409): "Conflict"'],
    [503, 'null', '(HTTP 503): "Service Unavailable"'],
  ])('refuses with %i and %s is told by the status and its own words only', async (status, body, told) => {
    const engine = await serve((_request, response) => response.writeHead(status).end(body));
    const failure = await engine.inspect(container, never).then(
      () => null,
      (error: unknown) => error as KernelError,
    );
    expect(failure).toMatchObject({ code: 'ENGINE_FAILED', context: { status } });
    expect(failure?.message).toMatch(/^the container engine refused to .* \(HTTP \d+\): "[^"]*"$/);
    expect(failure?.message).toContain(told);
  });

  it('says "already so" is not an error', async () => {
    const status = { '/start': 304, '/kill': 409 } as Record<string, number>;
    const engine = await serve((request, response) => {
      const found = Object.entries(status).find(([path]) => request.url?.includes(path))?.[1] ?? 404;
      response.writeHead(found).end(found === 304 ? '' : '{"message":"no such container"}');
    });
    await engine.start(container, never);
    await engine.kill(container, never);
    await engine.remove(container, never);
    expect(await engine.inspect(container, never)).toBeNull();
  });
});

describe('the signal of a request', () => {
  it('ends it with the reason given, during the answer too', async () => {
    const engine = await serve((_request, response) => {
      response.writeHead(200);
      response.write('[');
    });
    const ending = new AbortController();
    const listing = engine.leasedUids(ending.signal);
    setTimeout(() => ending.abort(new KernelError('STOPPING', 'the kernel is stopping')), 30);
    await expect(listing).rejects.toMatchObject({ code: 'STOPPING' });
  });

  it('aborted before means that nothing is asked', async () => {
    let asked = 0;
    const engine = await serve((_request, response) => {
      asked += 1;
      response.end('{}');
    });
    await expect(engine.ping(AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(asked).toBe(0);
  });
});

describe('following events', () => {
  const home = '0123456789ab' as HomeId;
  it('reports each, over chunk borders, and throws when the engine goes away', async () => {
    const engine = await serve((request, response) => {
      expect(decodeURIComponent(request.url ?? '')).toContain(`kerneld.home=${home}`);
      response.writeHead(200);
      response.write('{"Action":"die","Actor":{"ID":"c1","Attri');
      setTimeout(() => response.write('butes":{"exitCode":"1"}}}\n{"Action":"oom","Actor":{"ID":"c2"}}\n'), 10);
      setTimeout(() => response.destroy(), 40);
    });
    const events: unknown[] = [];
    let opened = 0;
    await expect(
      engine.follow(
        home,
        () => (opened += 1),
        (event) => events.push(event),
        never,
      ),
    ).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' });
    expect(opened).toBe(1);
    expect(events).toEqual([
      { kind: 'containerDied', container: 'c1', exitCode: 1 },
      { kind: 'containerOom', container: 'c2' },
    ]);
  });

  it('outlives the time limit of a request and ends quietly with its signal', async () => {
    const engine = await serve((_request, response) => {
      response.writeHead(200);
      response.flushHeaders();
    });
    const ending = new AbortController();
    let over = false;
    const following = engine
      .follow(
        home,
        () => {},
        () => {},
        ending.signal,
      )
      .then(() => (over = true));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(over).toBe(false);
    ending.abort();
    await following;
    expect(over).toBe(true);
  });
});
