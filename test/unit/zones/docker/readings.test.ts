import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { containerFactsOf, parseInspect } from '../../../../zones/docker/container-facts.ts';
import { parseEngineHost } from '../../../../zones/docker/engine-endpoint.ts';
import { parseEvent } from '../../../../zones/docker/follow-events.ts';
import { readLabels, uidOfName } from '../../../../zones/docker/labels.table.ts';
import { demultiplex } from '../../../../zones/docker/startup-output.ts';

const answer = (labels: Record<string, string> | null, state: object = {}) => ({
  Id: 'a'.repeat(64),
  Config: { Labels: labels },
  HostConfig: { NetworkMode: 'none', ReadonlyRootfs: true },
  State: {
    Status: 'exited',
    Pid: 0,
    ExitCode: 137,
    OOMKilled: true,
    Error: '',
    StartedAt: '2026-01-01T00:00:00Z',
    FinishedAt: '2026-01-01T00:00:01Z',
    ...state,
  },
});

describe('container facts', () => {
  it('tell an exit by signal and out of memory', () => {
    expect(
      containerFactsOf(parseInspect(answer({ 'kerneld.home': '0123456789ab', 'kerneld.uid': '7' }))),
    ).toMatchObject({
      home: '0123456789ab',
      uid: 7,
      zone: null,
      instance: null,
      pid: null,
      exit: { exitCode: 137, signal: 'SIGKILL', oomKilled: true, error: null },
    });
  });
  it('have no exit and no start before the container ran, and the error of a failed start', () => {
    const labels = { 'kerneld.home': '0123456789ab' };
    const never = { Status: 'created', ExitCode: 0, OOMKilled: false, StartedAt: '0001-01-01T00:00:00Z' };
    expect(containerFactsOf(parseInspect(answer(labels, never)))).toMatchObject({ exit: null, startedAt: null });
    expect(containerFactsOf(parseInspect(answer(labels, { ...never, Error: 'no such file' })))).toMatchObject({
      exit: { error: 'no such file' },
    });
  });
  it('are none for a container without a home', () => {
    expect(containerFactsOf(parseInspect(answer(null)))).toBeNull();
  });
  it('refuse an unknown form with ENGINE_FAILED', () => {
    expect(() => parseInspect({ Id: 1 })).toThrow(expect.objectContaining({ code: 'ENGINE_FAILED' }));
  });
});

describe('labels', () => {
  it('that do not parse are null and never an error', () => {
    expect(
      readLabels({ 'kerneld.home': '../..', 'kerneld.zone': 'root', 'kerneld.instance': 'x', 'kerneld.uid': '-1' }),
    ).toEqual({
      home: null,
      zone: null,
      instance: null,
      specDigest: null,
      uid: null,
      sizeClass: null,
    });
  });
  it.each([
    ['/kerneld-210000', 210_000],
    ['kerneld-7', 7],
    ['/kerneld-x', null],
    ['/my-kerneld-7', null],
  ])('name %s leases %s', (name, uid) => {
    expect(uidOfName(name)).toBe(uid);
  });
});

describe('events', () => {
  it('are read by their action', () => {
    expect(parseEvent('{"Action":"die","Actor":{"ID":"c1","Attributes":{"exitCode":"137"}}}')).toEqual({
      kind: 'containerDied',
      container: 'c1',
      exitCode: 137,
    });
    expect(parseEvent('{"Action":"oom","Actor":{"ID":"c1"}}')).toEqual({ kind: 'containerOom', container: 'c1' });
    expect(parseEvent('{"Action":"start","Actor":{"ID":"c1"}}')).toBeNull();
    expect(parseEvent('{"status":"pull"}')).toBeNull();
    expect(parseEvent('')).toBeNull();
  });
  it('that are not JSON end the stream', () => {
    expect(() => parseEvent('{"Action"')).toThrow(KernelError);
  });
});

describe('demultiplex', () => {
  const frame = (stream: number, text: string): Buffer => {
    const header = Buffer.alloc(8);
    header[0] = stream;
    header.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  it('joins both streams and keeps the newest bytes', () => {
    expect(demultiplex(Buffer.concat([frame(1, 'one\n'), frame(2, 'two\n')]), 100)).toBe('one\ntwo\n');
    expect(demultiplex(Buffer.concat([frame(1, 'one\n'), frame(2, 'two\n')]), 4)).toBe('two\n');
  });
  it('drops a tail that is being written', () => {
    expect(demultiplex(Buffer.concat([frame(1, 'one\n'), frame(1, 'two\n').subarray(0, 10)]), 100)).toBe('one\n');
    expect(demultiplex(Buffer.alloc(0), 100)).toBe('');
  });
});

describe('parseEngineHost', () => {
  it('takes Unix sockets only', () => {
    expect(parseEngineHost('unix:///var/run/docker.sock')).toBe('/var/run/docker.sock');
    expect(parseEngineHost('/var/run/docker.sock')).toBe('/var/run/docker.sock');
    for (const host of ['tcp://127.0.0.1:2375', 'ssh://me@there', 'unix://relative', '']) {
      expect(() => parseEngineHost(host), host).toThrow(expect.objectContaining({ code: 'ENGINE_UNSUITABLE' }));
    }
  });
});
