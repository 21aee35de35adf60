import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { homePaths } from '../../../../Kernel/contract/paths.ts';
import { createRandom } from '../../../../daemon/adapters/random.ts';
import { openHome } from '../../../../daemon/home/home.ts';
import { lockHolder, lockHome } from '../../../../daemon/home/lock.ts';

const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});
const temporary = () => {
  const path = mkdtempSync(join(tmpdir(), 'kd-'));
  made.push(path);
  return path;
};
const pathsOf = (home: string) => homePaths({ KERNELD_HOME: home });
const open = (home: string) => openHome({ paths: pathsOf(home), random: createRandom() });
const mode = (path: string) => statSync(path).mode & 0o7777;

const source = new URL('../../../../', import.meta.url).href;
/** A program that opens the home, says how that went, and then lives on. */
const program = (home: string) => `
  const { openHome } = await import('${source}daemon/home/home.ts');
  const { createRandom } = await import('${source}daemon/adapters/random.ts');
  const { homePaths } = await import('${source}Kernel/contract/paths.ts');
  try {
    globalThis.home = await openHome({ paths: homePaths({ KERNELD_HOME: ${JSON.stringify(home)} }), random: createRandom() });
    console.log('won ' + home.id);
    setInterval(() => undefined, 1000);
  } catch (error) { console.log(error.code + ' ' + error.context.pid); }`;
const start = (home: string): ChildProcess =>
  spawn(process.execPath, ['--input-type=module', '-e', program(home)], { stdio: ['ignore', 'pipe', 'inherit'] });
const said = async (child: ChildProcess) => String((await once(child.stdout!, 'data'))[0]).trim();
const kill = async (child: ChildProcess) => {
  const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null;
  child.kill('SIGKILL');
  await ended;
};

describe('a home', () => {
  it('is made with the modes that keep others out', async () => {
    const path = temporary();
    using home = await open(path);
    const { state, run, instancesDir, recordsDir, logsDir, lockFile, homeIdFile } = home.paths;
    expect(
      [state, run, instancesDir, recordsDir, logsDir, lockFile, homeIdFile].map((item) => mode(item).toString(8)),
    ).toEqual(['700', '755', '700', '700', '700', '600', '600']);
    expect(home.id).toMatch(/^[0-9a-f]{12}$/);
    expect(readdirSync(state).toSorted()).toEqual([
      'home-id',
      'instances',
      'kernel.lock',
      'logs',
      'modules',
      'records',
      'store',
    ]);
  });

  it('keeps its id, corrects modes, and differs from another home', async () => {
    const [a, b] = [temporary(), temporary()];
    const first = await open(a);
    first[Symbol.dispose]();
    chmodSync(first.paths.state, 0o777);
    using again = await open(a);
    using other = await open(b);
    expect(again.id).toBe(first.id);
    expect(other.id).not.toBe(first.id);
    expect(mode(again.paths.state)).toBe(0o700);
  });

  it('with a damaged id is refused, never given a new one', async () => {
    for (const content of ['', 'zzz', '0123456789ab0']) {
      const path = temporary();
      mkdirSync(pathsOf(path).state, { recursive: true });
      writeFileSync(pathsOf(path).homeIdFile, content);
      await expect(open(path)).rejects.toMatchObject({ code: 'STATE_CORRUPT', remedy: expect.any(String) });
      expect(readFileSync(pathsOf(path).homeIdFile, 'utf8')).toBe(content);
      expect(lockHolder(pathsOf(path).lockFile)).toBe(null);
    }
  });

  it('that cannot be used names the path and what to do', async () => {
    const path = temporary();
    writeFileSync(join(path, 'file'), '');
    await expect(open(join(path, 'file'))).rejects.toMatchObject({
      code: 'STATE_UNUSABLE',
      message: expect.stringContaining(join(path, 'file')),
      remedy: expect.any(String),
    });
    await expect(open('/proc/kerneld')).rejects.toMatchObject({ code: 'STATE_UNUSABLE', remedy: expect.any(String) });
    await expect(open('/sys')).rejects.toMatchObject({ code: 'STATE_UNUSABLE' });
    await expect(open(`/tmp/${'x'.repeat(120)}`)).rejects.toMatchObject({ code: 'SOCKET_PATH_TOO_LONG' });
    mkdirSync(pathsOf(path).lockFile, { recursive: true });
    await expect(open(path)).rejects.toMatchObject({ code: 'STATE_UNUSABLE' });
  });
});

describe('the lock', () => {
  it('refuses a second kernel of this process and of another, naming the pid', async () => {
    const path = temporary();
    const home = await open(path);
    await expect(open(path)).rejects.toMatchObject({
      code: 'HOME_LOCKED',
      message: expect.stringContaining(`pid ${process.pid}`),
    });
    const other = start(path);
    expect(await said(other)).toBe(`HOME_LOCKED ${process.pid}`);
    await kill(other);
    expect(home.lockHeld()).toBe(true);
    home[Symbol.dispose]();
    expect(home.lockHeld()).toBe(false);
    using again = await open(path);
    expect(again.lockHeld()).toBe(true);
  });

  it('is free at once after kill -9, leaves no journal, and does not believe an old pid', async () => {
    const path = temporary();
    for (let i = 0; i < 3; i += 1) {
      const child = start(path);
      expect(await said(child)).toMatch(/^won /);
      expect(lockHolder(pathsOf(path).lockFile)).toBe(child.pid);
      await expect(open(path)).rejects.toMatchObject({ code: 'HOME_LOCKED', context: { pid: child.pid } });
      await kill(child);
      expect(lockHolder(pathsOf(path).lockFile)).toBe(null);
      expect(readdirSync(pathsOf(path).state).filter((name) => name.startsWith('kernel.lock'))).toEqual([
        'kernel.lock',
      ]);
    }
    using home = await open(path);
    expect(home.lockHeld()).toBe(true);
  });

  it('is won by exactly one of 20 that start at once on a new home, and all agree on its id', async () => {
    const path = temporary();
    const children = Array.from({ length: 20 }, () => start(path));
    const answers = await Promise.all(children.map(said));
    const winners = children.filter((_, i) => answers[i]!.startsWith('won'));
    expect(winners).toHaveLength(1);
    expect(answers.filter((answer) => answer.startsWith('HOME_LOCKED'))).toHaveLength(19);
    // A holder may be between taking the lock and being looked up; who is named at all is the winner.
    for (const answer of answers.filter((text) => text.startsWith('HOME_LOCKED')))
      expect(['null', String(winners[0]!.pid)]).toContain(answer.split(' ')[1]);
    await Promise.all(children.map(kill));
  }, 30_000);

  it('tells that its file was removed', async () => {
    using home = await open(temporary());
    rmSync(home.paths.lockFile);
    expect(home.lockHeld()).toBe(false);
  });

  it('is not passed on to a child process', async () => {
    const path = temporary();
    const lock = lockHome(join(path, 'kernel.lock'));
    const child = spawn('sleep', ['30']);
    await once(child, 'spawn');
    lock[Symbol.dispose]();
    using again = lockHome(join(path, 'kernel.lock'));
    expect(again.held()).toBe(true);
    await kill(child);
  });
});
