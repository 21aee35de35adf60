import { describe, expect, it } from 'vitest';
import { describeConfig } from '../../../config/show.ts';
import { HEADER, SHIPPED, valid } from './config-support.ts';

describe('describeConfig', () => {
  it('shows what is in effect and where it comes from', () => {
    const text = `${HEADER}pool:\n  memory: auto\nzones:\n  stable:\n    memory: 50%\n    instance:\n      memory: 1024MiB\nlogs: {level: warn}\nmodules:\n  bot:\n    config: {a: 1}\n  idle: {}\n`;
    const rows = new Map(
      describeConfig({ ...valid(text), file: 'kernel.yaml' }).map(({ key, value, from }) => [
        key,
        `${value} | ${from}`,
      ]),
    );
    expect(rows.get('pool.memory')).toBe('3584MiB | machine (auto, kernel.yaml:3)');
    expect(rows.get('pool.cpus')).toBe('1.8 | machine');
    expect(rows.get('zones.stable.memory')).toBe('1792MiB | kernel.yaml:6 (50%)');
    expect(rows.get('zones.stable.instance.memory')).toBe('1GiB | kernel.yaml:8 (1024MiB)');
    expect(rows.get('zones.sandbox.memory')).toBe('1433MiB | default (40%)');
    expect(rows.get('zones.stable.image')).toBe('local | default');
    expect(rows.get('logs.level')).toBe('warn | kernel.yaml:9');
    expect(rows.get('modules.bot.config')).toBe('{"a":1} | kernel.yaml:12');
    expect(rows.get('modules.idle.config')).toBe('{} | default');
  });

  it('a value that a reload could not change names the file and line it was read from', () => {
    const { config, sources } = valid(`${HEADER}control:\n  group: none\n`);
    const kept = new Map([...sources].map(([key, source]) => [key, { ...source, kept: { file: 'old.yaml' } }]));
    const rows = new Map(
      describeConfig({ config, sources: kept, file: 'new.yaml' }).map(({ key, from }) => [key, from]),
    );
    expect(rows.get('control.group')).toBe('old.yaml:3, until a restart');
    expect(rows.get('logs.level')).toBe('default, until a restart');
  });

  it('the shipped file writes every value the way it is shown', () => {
    for (const { from } of describeConfig({ ...valid(SHIPPED), file: 'f' })) {
      expect(from).toMatch(/^f:\d+$|^f:\d+ \(\d+%\)$|^machine \(auto, f:\d+\)$/);
    }
  });
});
