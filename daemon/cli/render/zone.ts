import type { OperationResult } from '../../../Kernel/contract/operations/index.ts';
import type { InstanceExit, ProbeReport, ZoneInspect } from '../../../Kernel/contract/operations/shapes.ts';
import { limitText, sizeText, spanText, timeText } from './quantity.ts';
import { state } from './status.ts';
import { paint, toneOf, type Style } from './style.ts';
import { fields, table, type Cell } from './table.ts';
import { escapeText, hang } from './text.ts';

type ZoneRow = OperationResult<'zone.list'>[number];

/** `kernelctl zone ls` for people. */
export const renderZones = (zones: readonly ZoneRow[], style: Style): string[] => [
  ...table(
    style,
    [
      { title: 'ZONE' },
      { title: 'STATE' },
      { title: 'INSTANCES', align: 'right' },
      { title: 'MODULES', align: 'right' },
      { title: 'MEMORY', align: 'right' },
      { title: 'CPUS', align: 'right' },
    ],
    zones.map((zone) => [
      zone.name,
      state(zone.state),
      String(zone.instances),
      String(zone.modules),
      sizeText(zone.memoryBytes),
      String(zone.cpus),
    ]),
  ),
  ...zones.flatMap((zone) => (zone.reason === null ? [] : hang(`  ${zone.name}: `, zone.reason, style.width))),
];

/** Why an instance ended, in a few words. */
export const exitText = (exit: InstanceExit): string => {
  const how = exit.signal ?? (exit.exitCode === null ? null : `code ${exit.exitCode}`);
  const oom = exit.oomKilled && exit.cause !== 'oom' ? ', out of memory' : '';
  return `${exit.cause}${how === null ? '' : ` (${how}${oom})`} at ${timeText(exit.at)}${exit.detail === '' ? '' : `: ${exit.detail}`}`;
};

const probeSummary = (probe: ProbeReport | null): Cell => {
  if (probe === null) return { text: 'not run yet', tone: 'warn' };
  const held = probe.checks.filter((check) => check.passed).length;
  return {
    text: `${held} of ${probe.checks.length} refusals held, ${timeText(probe.at)}`,
    tone: probe.passed ? 'good' : 'bad',
  };
};

const probeFailures = (probe: ProbeReport | null, style: Style): string[] =>
  (probe?.checks ?? [])
    .filter((check) => !check.passed)
    .flatMap((check) =>
      hang('  ✖ ', `${check.name}: expected ${check.expected}, observed ${check.observed} (${check.why})`, style.width),
    );

/** Shows any JSON value in one line: `network none, namespaces (net 4026532281, pid 4026532280)`. */
const flatText = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(flatText).join(' ');
  return Object.entries(value)
    .map(([name, inner]) => {
      if (typeof inner === 'object' && inner !== null && !Array.isArray(inner)) return `${name} (${flatText(inner)})`;
      const text = flatText(inner);
      // A namespace as the system links it: `net` is `net:[4026532281]`.
      return `${name} ${text.startsWith(`${name}:[`) ? text.slice(name.length + 2, -1) : text}`;
    })
    .join(', ');
};

const unitRows = (zone: ZoneInspect): Cell[][] =>
  zone.units.map((unit) => [
    `${unit.module}/${unit.index}`,
    state(unit.state),
    String(unit.restarts),
    unit.nextStartInMs === null ? '-' : `in ${spanText(unit.nextStartInMs)}`,
    unit.lastExit?.cause ?? '-',
  ]);

const unitNotes = (zone: ZoneInspect, style: Style): string[] =>
  zone.units.flatMap((unit) => [
    ...(unit.reason === null || unit.state === 'running'
      ? []
      : hang(`  ${unit.module}/${unit.index}: `, unit.reason, style.width)),
    ...(unit.lastExit === null
      ? []
      : hang(`  ${unit.module}/${unit.index} last exit: `, exitText(unit.lastExit), style.width)),
  ]);

const instanceRows = (zone: ZoneInspect): Cell[][] =>
  zone.instances.map((instance) => [
    instance.id,
    instance.module ?? '-',
    state(instance.state),
    String(instance.pid ?? '-'),
    String(instance.uid),
    instance.sizeClass,
    instance.uptimeMs === null ? '-' : spanText(instance.uptimeMs),
  ]);

const isolationNotes = (zone: ZoneInspect, style: Style): string[] =>
  zone.instances.flatMap((instance) =>
    instance.isolation == null ? [] : hang(`  ${instance.id}: `, flatText(instance.isolation), style.width),
  );

/** `kernelctl zone inspect` for people. */
export const renderZoneInspect = (zone: ZoneInspect, style: Style): string[] => [
  ...fields(style, [
    ['zone', zone.name],
    ['state', state(zone.state)],
    ['reason', zone.reason],
    ['image', zone.image ?? 'none'],
    ['runtime', zone.runtime],
    [
      'limits',
      `memory ${sizeText(zone.limits.memoryBytes)}, cpus ${zone.limits.cpus}, instances ${zone.limits.maxInstances}`,
    ],
    ['in use', `memory ${sizeText(zone.used.memoryBytes)}, cpus ${zone.used.cpus}, instances ${zone.used.instances}`],
    [
      'instance',
      Object.entries(zone.limits.instance)
        .map(([name, limit]) => limitText(name, limit))
        .join(', '),
    ],
    [
      'seccomp',
      `${zone.seccomp.profile}, ${zone.seccomp.allowedSyscalls} syscalls allowed, sha256 ${zone.seccomp.sha256.replace(/^sha256:/, '').slice(0, 12)}`,
    ],
    ['probe', probeSummary(zone.probe)],
  ]),
  ...probeFailures(zone.probe, style).map((line) => paint(style, 'bad', line)),
  ...(zone.units.length === 0
    ? []
    : [
        '',
        ...table(
          style,
          [
            { title: 'UNIT', shrink: true },
            { title: 'STATE' },
            { title: 'RESTARTS', align: 'right' },
            { title: 'NEXT START' },
            { title: 'LAST EXIT' },
          ],
          unitRows(zone),
        ),
        ...unitNotes(zone, style),
      ]),
  ...(zone.instances.length === 0
    ? []
    : [
        '',
        ...table(
          style,
          [
            { title: 'INSTANCE' },
            { title: 'MODULE', shrink: true },
            { title: 'STATE' },
            { title: 'PID', align: 'right' },
            { title: 'UID', align: 'right' },
            { title: 'CLASS' },
            { title: 'UPTIME', align: 'right' },
          ],
          instanceRows(zone),
        ),
        ...isolationNotes(zone, style),
      ]),
];

/** What `zone start|stop|restart` came to. */
export const renderZoneChange = (change: OperationResult<'zone.stop'>, style: Style): string[] => [
  `${change.zone} is ${paint(style, toneOf(change.state), escapeText(change.state))}`,
  ...(change.reason === null ? [] : hang('  ', change.reason, style.width)),
];
