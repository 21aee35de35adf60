import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chooseConfigFile, homePaths } from '../../../../Kernel/contract/paths.ts';
import { createConfigState, type ConfigPorts } from '../../../../daemon/handlers/config-state.ts';
import { HEADER } from '../../config/config-support.ts';

const never = new AbortController().signal;
let home = '';
let file = '';
let shipped = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kerneld-config-'));
  file = join(home, 'kernel.yaml');
  shipped = join(home, 'shipped.yaml');
  await writeFile(shipped, `${HEADER}logs: {level: warn}\n`);
});
afterEach(() => rm(home, { recursive: true, force: true }));

const open = async (ports: Partial<ConfigPorts> = {}) => {
  const paths = homePaths({ KERNELD_HOME: home });
  const state = createConfigState(() => chooseConfigFile(paths, existsSync, shipped), {
    verify: () => {},
    onApplied: async () => {},
    ...ports,
  });
  await state.load(never);
  return state;
};
type State = Awaited<ReturnType<typeof open>>;
const rowOf = (state: State, key: string) => state.show().values.find((row) => row.key === key);

describe('the file', () => {
  it('that appears in the home takes effect with a reload, and ceases to when it is gone', async () => {
    const state = await open();
    expect(state.show().file).toBe(shipped);
    await writeFile(file, `${HEADER}logs: {level: error}\n`);
    expect(await state.check(never)).toMatchObject({ ok: true, file, changes: [{ key: 'logs.level' }] });
    expect(state.file()).toBe(shipped);
    expect(await state.reload(never)).toMatchObject({ file, changes: [{ key: 'logs.level', after: 'error' }] });
    expect(state.file()).toBe(file);
    expect(rowOf(state, 'logs.level')).toMatchObject({ value: 'error', from: `${file}:2` });
    await rm(file);
    expect(await state.check(never)).toMatchObject({ ok: true, file: shipped });
    expect(await state.reload(never)).toMatchObject({ file: shipped });
    expect(rowOf(state, 'logs.level')).toMatchObject({ value: 'warn', from: `${shipped}:2` });
  });

  it('that is not valid is named, and the other one stays in force', async () => {
    const state = await open();
    await writeFile(file, `${HEADER}logs: {level: loud}\n`);
    expect(await state.check(never)).toMatchObject({ ok: false, file });
    await expect(state.reload(never)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(state.show().file).toBe(shipped);
    expect(state.config().logs.level).toBe('warn');
  });
});

describe('a section that only a restart changes', () => {
  it('is shown with the line it was read from, not with that of the new file', async () => {
    await writeFile(file, `${HEADER}control: {group: none}\nlogs: {level: info}\n`);
    const state = await open();
    await writeFile(file, `${HEADER}logs: {level: debug}\n# more\ncontrol: {group: nogroup}\n`);
    await state.reload(never);
    expect(rowOf(state, 'control.group')).toEqual({
      key: 'control.group',
      value: 'none',
      from: `${file}:2, until a restart`,
    });
    expect(rowOf(state, 'logs.level')).toMatchObject({ value: 'debug', from: `${file}:2` });
    // A second file that asks for the same again does not make the old line its own either.
    await rm(file);
    await writeFile(shipped, `${HEADER}control: {group: daemon}\n`);
    await state.reload(never);
    expect(rowOf(state, 'control.group')?.from).toBe(`${file}:2, until a restart`);
    // Back to the value in force: it is the file's own again.
    await writeFile(file, `${HEADER}\n\ncontrol: {group: none}\n`);
    expect(await state.reload(never)).toMatchObject({ file });
    expect(rowOf(state, 'control.group')?.from).toBe(`${file}:4`);
  });
});

describe('reloads at the same time', () => {
  it('take turns, and the last one to be asked for reads last', async () => {
    await writeFile(file, HEADER);
    let applying = 0;
    let most = 0;
    const levels: string[] = [];
    const state = await open({
      onApplied: async (config) => {
        most = Math.max(most, (applying += 1));
        await new Promise((resolve) => setTimeout(resolve, 5));
        levels.push(config.logs.level);
        if (levels.length === 1) await writeFile(file, `${HEADER}logs: {level: error}\n`);
        applying -= 1;
      },
    });
    await writeFile(file, `${HEADER}logs: {level: debug}\n`);
    const [first, second, third] = await Promise.all([state.reload(never), state.reload(never), state.reload(never)]);
    expect(most).toBe(1);
    expect(levels).toEqual(['debug', 'error', 'error']);
    expect([first, second, third].map(({ changes }) => changes.length)).toEqual([1, 1, 0]);
    expect(state.config().logs.level).toBe('error');
  });

  it('go on after one that was refused or withdrawn', async () => {
    await writeFile(file, `${HEADER}logs: {level: loud}\n`);
    await writeFile(shipped, HEADER);
    await rm(file);
    const state = await open();
    await writeFile(file, `${HEADER}logs: {level: loud}\n`);
    const refused = state.reload(never).catch((error: unknown) => error);
    const withdrawn = state.reload(AbortSignal.abort(new Error('withdrawn'))).catch((error: unknown) => error);
    expect(await refused).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await withdrawn).toMatchObject({ message: 'withdrawn' });
    await writeFile(file, `${HEADER}logs: {level: error}\n`);
    await state.reload(never);
    expect(state.config().logs.level).toBe('error');
  });
});
