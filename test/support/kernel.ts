/**
 * Runs the real kerneld on the real engine, in a home of its own, for tests. Everything made here is known by the
 * home's id, so that what is left behind is found and named.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { OperationInput, OperationResult } from '../../Kernel/contract/operations/index.ts';
import type { Status } from '../../Kernel/contract/operations/shapes.ts';
import { connect, type KernelClient } from '../../daemon/client/connect.ts';
import type { UnaryName } from '../../daemon/client/operation-names.ts';
import { postRpc } from '../../daemon/client/post-rpc.ts';

export const PROJECT = join(import.meta.dirname, '../..');
const named = process.env['KERNELD_TEST_ENGINE'] ?? process.env['DOCKER_HOST'];
if (named === undefined)
  throw new Error('set KERNELD_TEST_ENGINE=unix:///path/to/docker.sock: these tests need a container engine');
/** The engine that tests share. */
export const ENGINE_HOST: string = named;

export type CommandResult = { readonly status: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly cwd?: string;
};

/** Runs a program to its end. */
export const run = (command: string, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? PROJECT,
      env: { ...process.env, ...options.env },
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status: status ?? 128, stdout, stderr }));
    // A program that ends before it reads what it is given is no fault of the run: its status tells.
    child.stdin.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') reject(error);
    });
    child.stdin.end(options.input ?? '');
  });

/** Waits until a condition holds, asking again and again. */
export const eventually = async <T>(
  what: string,
  look: () => T | Promise<T>,
  timeoutMs = 30_000,
): Promise<NonNullable<T>> => {
  const untilMs = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await look();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > untilMs) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: last });
    await delay(50);
  }
};

/** One request to the engine's API. */
export const engineApi = <T>(method: string, path: string, host = ENGINE_HOST): Promise<T> =>
  new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath: host.replace('unix://', ''), method, path, headers: { host: 'engine' } },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => resolve((text === '' ? null : JSON.parse(text)) as T));
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });

export type ContainerRow = {
  readonly Id: string;
  readonly State: string;
  readonly Names: string[];
  readonly Labels: Record<string, string>;
};

/** Containers of a home, running or not. */
export const containersOf = (homeId: string, host = ENGINE_HOST): Promise<ContainerRow[]> =>
  engineApi(
    'GET',
    `/containers/json?all=1&filters=${encodeURIComponent(JSON.stringify({ label: [`kerneld.home=${homeId}`] }))}`,
    host,
  );

/** What must be the same before and after a fault. */
export type Snapshot = {
  readonly containers: number;
  readonly networks: number;
  readonly mounts: number;
  readonly directories: number;
  readonly records: number;
  readonly kernelDescriptors: number;
  readonly sockets: number;
};

export type KernelUnderTest = AsyncDisposable & {
  readonly home: string;
  readonly operatorSocket: string;
  readonly pid: () => number;
  readonly output: () => string;
  readonly exited: () => Promise<number | null>;
  readonly status: () => Promise<Status>;
  readonly rpc: <N extends UnaryName>(
    name: N,
    params: OperationInput<N>,
    timeoutMs?: number,
  ) => Promise<OperationResult<N>>;
  readonly call: (module: string, name: string, params?: unknown, timeoutMs?: number) => Promise<unknown>;
  readonly client: () => Promise<KernelClient>;
  readonly ctl: (args: readonly string[], options?: RunOptions) => Promise<CommandResult>;
  /** Writes a module into a directory, and installs it. Gives the directory. */
  readonly install: (module: TestModule) => Promise<string>;
  /** The pid of the one ready instance of a module. */
  readonly instancePid: (module: string) => Promise<number>;
  readonly homeId: () => string;
  readonly kill9: () => Promise<void>;
  readonly terminate: () => Promise<number | null>;
  /** Starts it again on the same home; resolves when it is up. */
  readonly start: (options?: { readonly awaitUp?: boolean }) => Promise<void>;
  readonly writeConfig: (yaml: string) => void;
  readonly snapshot: () => Promise<Snapshot>;
};

export type TestModule = {
  readonly name: string;
  readonly zone?: 'stable' | 'sandbox';
  /** Text of index.mjs (or of `entry`). */
  readonly code: string;
  readonly entry?: string;
  /** Function names, each with what stands under it in module.yaml; `{}` for none. */
  readonly functions?: Readonly<Record<string, unknown>>;
  /** More keys of module.yaml. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  readonly files?: Readonly<Record<string, string>>;
};

/** Limits that let faults show within seconds; 700 uids apart from those of other homes. */
export const fastConfig = (extra = ''): string => `apiVersion: kerneld/v1
pool: { memory: 3GiB, cpus: 2 }
zones:
  stable: { memory: 1536MiB, cpus: 1, instance: { memory: 64MiB, cpus: 1, tmp: 8MiB, moduleTmp: 8MiB } }
  sandbox: { memory: 1536MiB, cpus: 1, instance: { memory: 64MiB, cpus: 1, tmp: 8MiB, moduleTmp: 8MiB } }
instances:
  heartbeat: { interval: 300ms, limit: 1500ms }
  drainTimeout: 3s
restart:
  backoff: { initial: 50ms, max: 500ms, factor: 2, jitter: 0.2 }
  stableAfter: 2s
  intensity: { restarts: 5, window: 30s }
${extra}`;

const UP = new Set(['running', 'degraded']);
let modules = 0;

export type StartOptions = {
  readonly config?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly host?: string;
  /** False: return as soon as the process was started. */
  readonly awaitUp?: boolean;
  /** A program and arguments that `kerneld` is run through, as `unshare -n`. */
  readonly through?: readonly string[];
  readonly home?: string;
};

/** Starts a kernel in a new home. Dispose of it with `await using`. */
export const startKernel = async (options: StartOptions = {}): Promise<KernelUnderTest> => {
  const home = options.home ?? mkdtempSync('/tmp/kt-');
  const host = options.host ?? ENGINE_HOST;
  const env: NodeJS.ProcessEnv = { ...process.env, KERNELD_HOME: home, DOCKER_HOST: host, ...options.env };
  delete env['KERNELD_CONFIG'];
  const operatorSocket = join(home, 'run/operator.sock');
  let child: ChildProcess | null = null;
  let output = '';
  let exit: Promise<number | null> = Promise.resolve(null);

  const writeConfig = (yaml: string): void => writeFileSync(join(home, 'kernel.yaml'), yaml);
  writeConfig(options.config ?? fastConfig());

  const rpc: KernelUnderTest['rpc'] = (name, params, timeoutMs) =>
    postRpc(operatorSocket, name, params, timeoutMs === undefined ? {} : { timeoutMs });
  const status = (): Promise<Status> => rpc('kernel.status', {});
  const ctl: KernelUnderTest['ctl'] = (args, runOptions = {}) =>
    run(process.execPath, [join(PROJECT, 'daemon/kernelctl.mjs'), ...args], {
      ...runOptions,
      env: { ...env, NO_COLOR: '1', ...runOptions.env },
    });
  const homeId = (): string => readFileSync(join(home, 'state/home-id'), 'utf8').trim();

  const start: KernelUnderTest['start'] = async ({ awaitUp = true } = {}) => {
    const command = [...(options.through ?? []), process.execPath, join(PROJECT, 'daemon/kerneld.mjs')];
    const started = spawn(command[0]!, command.slice(1), { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    started.stdout.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-200_000)));
    started.stderr.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-200_000)));
    let gone = false;
    exit = new Promise((resolve) =>
      started.on('close', (code) => {
        gone = true;
        resolve(code);
      }),
    );
    if (!awaitUp) return;
    await eventually(
      `kerneld is up\n${output}`,
      async () => {
        if (gone) return true;
        return UP.has((await status()).mode);
      },
      60_000,
    );
    if (gone) throw new Error(`kerneld ended while it started:\n${output}`);
  };

  const stopChild = async (signal: NodeJS.Signals): Promise<number | null> => {
    child?.kill(signal);
    return exit;
  };

  const install: KernelUnderTest['install'] = async (module) => {
    const directory = join(home, 'sources', `${module.name}-${(modules += 1)}`);
    mkdirSync(directory, { recursive: true });
    const entry = module.entry ?? 'index.mjs';
    writeFileSync(join(directory, entry), module.code);
    for (const [path, content] of Object.entries(module.files ?? {})) {
      mkdirSync(join(directory, path, '..'), { recursive: true });
      writeFileSync(join(directory, path), content);
    }
    const manifest = {
      apiVersion: 'kerneld/v1',
      name: module.name,
      version: '1.0.0',
      entry,
      functions: module.functions ?? {},
      ...module.manifest,
    };
    // JSON is YAML.
    writeFileSync(join(directory, 'module.yaml'), JSON.stringify(manifest, null, 2));
    const result = await ctl(['module', 'install', directory, '--zone', module.zone ?? 'sandbox', '--json']);
    if (result.status !== 0)
      throw new Error(`install of ${module.name} failed (${result.status}): ${result.stdout}${result.stderr}`);
    return directory;
  };

  const instancePid = (module: string): Promise<number> =>
    eventually(`${module} has a ready instance`, async () => {
      const { zones } = await status();
      return zones.flatMap((zone) => zone.instances).find((row) => row.module === module && row.state === 'ready')?.pid;
    });

  const count = (directory: string): number => (existsSync(directory) ? readdirSync(directory).length : 0);
  const snapshot = async (): Promise<Snapshot> => {
    const id = homeId();
    const pid = child?.pid ?? 0;
    const descriptors = existsSync(`/proc/${pid}/fd`) ? readdirSync(`/proc/${pid}/fd`).length : 0;
    const sockets = readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .filter((line) => line.includes(home)).length;
    const networks = await engineApi<unknown[]>('GET', '/networks', host);
    return {
      containers: (await containersOf(id, host)).length,
      networks: networks.length,
      mounts: readFileSync('/proc/self/mounts', 'utf8')
        .split('\n')
        .filter((line) => line.includes(home)).length,
      directories: count(join(home, 'state/instances')),
      records: count(join(home, 'state/records')),
      kernelDescriptors: descriptors,
      sockets,
    };
  };

  const kernel: KernelUnderTest = {
    home,
    operatorSocket,
    pid: () => child?.pid ?? -1,
    output: () => output,
    exited: () => exit,
    status,
    rpc,
    call: (module, name, params = {}, timeoutMs) =>
      rpc('module.call', { module, function: name, params, ...(timeoutMs === undefined ? {} : { timeoutMs }) }),
    client: () => connect({ socketPath: operatorSocket }),
    ctl,
    install,
    instancePid,
    homeId,
    kill9: async () => void (await stopChild('SIGKILL')),
    terminate: () => stopChild('SIGTERM'),
    start,
    writeConfig,
    snapshot,
    [Symbol.asyncDispose]: async () => {
      if (child !== null && child.exitCode === null && child.signalCode === null) {
        const timer = setTimeout(() => child?.kill('SIGKILL'), 20_000);
        await stopChild('SIGTERM');
        clearTimeout(timer);
      }
      if (existsSync(join(home, 'state/home-id'))) {
        for (const { Id } of await containersOf(homeId(), host))
          await engineApi('DELETE', `/containers/${Id}?force=1&v=1`, host);
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
  try {
    await start({ awaitUp: options.awaitUp ?? true });
  } catch (error) {
    await kernel[Symbol.asyncDispose]();
    throw error;
  }
  return kernel;
};

/** Symbolic value of a namespace link of a process, as `net:[4026531840]`. */
export const namespaceOf = (pid: number, kind: string): string => readlinkSync(`/proc/${pid}/ns/${kind}`);

/** One field of /proc/PID/status. */
export const procStatus = (pid: number, field: string): string | undefined =>
  new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
