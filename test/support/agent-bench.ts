/**
 * Runs the real bundled agent as a child process against the real link on a real Unix socket. The bundle
 * is built once per test process; every directory is short, since socket paths are limited to 107 bytes.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { InstanceId } from '../../Kernel/contract/ids.ts';
import type { KernelError } from '../../Kernel/contract/errors.ts';
import type { Clock, Log, Random } from '../../Kernel/contract/ports.ts';
import type { HelloParams, OutputParams } from '../../Kernel/contract/wire/agent.schema.ts';
import { bundleAgent } from '../../zones/image/agent-bundle.ts';
import type { InstanceLink, LinkHandlers, LinkLimits } from '../../zones/link/link.ts';
import { createOpenLink } from '../../zones/link/open-link.ts';

export const PROJECT_DIRECTORY = resolve(import.meta.dirname, '../..');
export const NODE = join(PROJECT_DIRECTORY, 'node_modules/.bin/node');

export const realClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
export const realRandom: Random = { hex: (bytes) => randomBytes(bytes).toString('hex'), unit: Math.random };
const noop = (): void => {};
export const silentLog: Log = {
  debug: noop,
  info: noop,
  warn: noop,
  error: noop,
  critical: noop,
  child: () => silentLog,
};

export const LIMITS: LinkLimits = {
  maxFrameBytes: 1024 * 1024,
  maxDepth: 32,
  framesPerSecond: 2000,
  bytesPerSecond: 16 * 1024 * 1024,
  maxInFlight: 256,
};

/** A short directory that is removed with `dispose`. */
export const shortDirectory = (): Disposable & { readonly path: string } => {
  const path = mkdtempSync('/tmp/k-');
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
};

let bundled: Promise<string> | undefined;
/** Path of the bundled agent. */
export const agentBundle = (): Promise<string> => (bundled ??= buildBundle());

const buildBundle = async (): Promise<string> => {
  const cacheDirectory = join(PROJECT_DIRECTORY, 'node_modules/.cache/kerneld-test');
  mkdirSync(cacheDirectory, { recursive: true });
  const bundle = await bundleAgent({
    entry: 'zones/agent/main.ts',
    projectDirectory: PROJECT_DIRECTORY,
    cacheDirectory,
    signal: AbortSignal.timeout(30_000),
  });
  const path = join(cacheDirectory, `agent-${createHash('sha256').update(bundle).digest('hex').slice(0, 12)}.mjs`);
  writeFileSync(path, bundle);
  return path;
};

export type SpawnedAgent = AsyncDisposable & {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  /** What reached the real descriptors 1 and 2. */
  readonly printed: () => string;
};

/** Starts the agent with the flags of the zone image. */
export const spawnAgent = async (
  directory: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<SpawnedAgent> => {
  const bundle = await agentBundle();
  const moduleDirectory = join(directory, 'module');
  mkdirSync(moduleDirectory, { recursive: true });
  const child = spawn(
    NODE,
    [
      '--disallow-code-generation-from-strings',
      '--permission',
      '--allow-net',
      `--allow-fs-read=${bundle}`,
      `--allow-fs-read=${moduleDirectory}`,
      `--allow-fs-write=${moduleDirectory}`,
      '--allow-fs-write=/dev/null',
      '--disable-warning=ExperimentalWarning',
      '--max-old-space-size=96',
      bundle,
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { KERNELD_SOCKET: join(directory, 'agent.sock'), KERNELD_MODULE_DIR: moduleDirectory, ...environment },
    },
  );
  let printed = '';
  const keep = (chunk: Buffer): void => {
    printed = (printed + chunk.toString()).slice(-65_536);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const exited = new Promise<number | null>((resolveExit) => {
    child.once('exit', (code) => resolveExit(code));
  });
  return {
    child,
    exited,
    printed: () => printed,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
};

export type Bench = AsyncDisposable & {
  readonly directory: string;
  readonly link: InstanceLink;
  readonly hellos: HelloParams[];
  readonly outputs: OutputParams[];
  readonly violations: KernelError[];
  readonly disconnects: () => number;
  readonly spawn: (environment?: Readonly<Record<string, string>>) => Promise<SpawnedAgent>;
  readonly kernelRequests: { method: string; params: unknown }[];
};

export type BenchOptions = {
  readonly limits?: Partial<LinkLimits>;
  readonly outputBytesPerSecond?: number;
  readonly orphanTimeoutMs?: number;
  readonly handlers?: Partial<LinkHandlers>;
  readonly directory?: string;
};

export const INSTANCE = 'i-0123456789ab' as InstanceId;

/** A link in a directory of its own, with everything it tells recorded. */
export const openBench = async (options: BenchOptions = {}): Promise<Bench> => {
  const temporary = options.directory === undefined ? shortDirectory() : undefined;
  const directory = options.directory ?? temporary?.path ?? '';
  const hellos: HelloParams[] = [];
  const outputs: OutputParams[] = [];
  const violations: KernelError[] = [];
  const kernelRequests: { method: string; params: unknown }[] = [];
  const agents: SpawnedAgent[] = [];
  let disconnects = 0;
  const openLink = createOpenLink({
    clock: realClock,
    random: realRandom,
    log: silentLog,
    ...(options.outputBytesPerSecond === undefined
      ? {}
      : { outputBytesPerSecond: () => options.outputBytesPerSecond! }),
  });
  const link = await openLink({
    instance: INSTANCE,
    directory,
    limits: { ...LIMITS, ...options.limits },
    handlers: {
      onHello: (hello) => {
        hellos.push(hello);
        return {
          protocol: hello.protocol,
          orphanTimeoutMs: options.orphanTimeoutMs ?? 5000,
          outputCreditBytes: 65_536,
        };
      },
      onDisconnect: () => {
        disconnects += 1;
      },
      onViolation: (error) => {
        violations.push(error);
      },
      onOutput: (output) => {
        outputs.push(output);
      },
      onRequest: (method, params) => {
        kernelRequests.push({ method, params });
        return method === 'bus.publish' ? { delivered: 0 } : null;
      },
      ...options.handlers,
    },
  });
  return {
    directory,
    link,
    hellos,
    outputs,
    violations,
    kernelRequests,
    disconnects: () => disconnects,
    spawn: async (environment) => {
      const agent = await spawnAgent(directory, environment);
      agents.push(agent);
      return agent;
    },
    [Symbol.asyncDispose]: async () => {
      await link.close();
      for (const agent of agents) await agent[Symbol.asyncDispose]();
      temporary?.[Symbol.dispose]();
    },
  };
};

/** Waits until `check` is true; names what was awaited when it never is. */
export const until = async (what: string, check: () => boolean, timeoutMs = 5000): Promise<void> => {
  const overMs = performance.now() + timeoutMs;
  while (!check()) {
    if (performance.now() > overMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolveWait) => {
      setTimeout(resolveWait, 5);
    });
  }
};

export const DIGEST = `sha256:${'ab'.repeat(32)}`;

/** Sends a module of the given files, the first of which is the entry. */
export const assign = async (
  link: InstanceLink,
  files: Readonly<Record<string, string>>,
  functions: readonly string[] = [],
  config: unknown = {},
): Promise<unknown> => {
  const options = { timeoutMs: 5000 };
  const contents = Object.entries(files).map(([path, text]) => [path, Buffer.from(text)] as const);
  await link.request(
    'assign.begin',
    {
      module: 'greeter',
      version: '1.0.0',
      digest: DIGEST,
      entry: contents[0]?.[0] ?? '',
      files: contents.map(([path, content]) => ({
        path,
        bytes: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
      })),
      functions,
      config,
    },
    options,
  );
  for (const [path, content] of contents) {
    if (content.length > 0)
      await link.request('assign.chunk', { path, offset: 0, base64: content.toString('base64') }, options);
  }
  return await link.request('assign.commit', null, options);
};

/** Calls a function of the assigned module. */
export const call = (link: InstanceLink, name: string, params: unknown = null, timeoutMs = 5000): Promise<unknown> =>
  link.request('call', { function: name, params, timeoutMs }, { timeoutMs });

/** Resident memory of a process, bytes. */
export const residentBytes = (pid: number): number => {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) * 1024;
};
