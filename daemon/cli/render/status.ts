import type { Status } from '../../../Kernel/contract/operations/shapes.ts';
import { spanText } from './quantity.ts';
import { paint, toneOf, type Style } from './style.ts';
import { table, type Cell } from './table.ts';
import { escapeText, hang, wrap } from './text.ts';

export const state = (text: string): Cell => ({ text, tone: toneOf(text) });

const header = (status: Status, style: Style): string[] => {
  const { engine } = status;
  const parts = [
    `kerneld ${status.version}`,
    `pid ${status.pid}`,
    status.bootMs === null ? 'booting' : `booted in ${spanText(status.bootMs)}`,
    engine.state === 'reachable' ? `engine ${engine.version ?? 'reachable'}` : `engine ${engine.state}`,
  ].map(escapeText);
  const lines = wrap(`${status.mode} · ${parts.join(' · ')}`, style.width);
  lines[0] = paint(style, toneOf(status.mode), status.mode) + (lines[0] ?? '').slice(status.mode.length);
  return status.reason === null ? lines : [...lines, ...hang('reason: ', status.reason, style.width)];
};

const zoneRows = (status: Status): Cell[][] =>
  status.zones.flatMap((zone) => {
    const first: Cell[] = [zone.name, state(zone.state)];
    if (zone.instances.length === 0) return [[...first, '-']];
    return zone.instances.map((instance, at) => [
      ...(at === 0 ? first : ['', '']),
      instance.id,
      instance.module ?? '-',
      state(instance.state),
      String(instance.pid ?? '-'),
      String(instance.restarts),
    ]);
  });

const moduleRows = (status: Status): Cell[][] =>
  status.modules.map((module) => [
    module.name,
    module.tier,
    state(module.phase),
    module.slots.active?.version ?? '-',
    module.zone,
    module.signed ? '' : { text: 'unsigned', tone: 'warn' },
  ]);

const reasons = (items: readonly { readonly name: string; readonly reason: string | null }[], style: Style): string[] =>
  items.flatMap((item) => (item.reason === null ? [] : hang(`  ${escapeText(item.name)}: `, item.reason, style.width)));

/** `kernelctl status` for people. */
export const renderStatus = (status: Status, style: Style): string[] => [
  ...header(status, style),
  '',
  ...table(
    style,
    [
      { title: 'ZONE' },
      { title: 'STATE' },
      { title: 'INSTANCE' },
      { title: 'MODULE', shrink: true },
      { title: 'STATE' },
      { title: 'PID', align: 'right' },
      { title: 'RESTARTS', align: 'right' },
    ],
    zoneRows(status),
  ),
  ...reasons(status.zones, style),
  '',
  ...(status.modules.length === 0
    ? ['No modules installed. Make one: kernelctl module init DIR']
    : table(
        style,
        [
          { title: 'MODULE', shrink: true },
          { title: 'TIER', shrink: true },
          { title: 'PHASE' },
          { title: 'VERSION', shrink: true },
          { title: 'ZONE' },
          { title: '' },
        ],
        moduleRows(status),
      )),
  ...reasons(status.modules, style),
];
