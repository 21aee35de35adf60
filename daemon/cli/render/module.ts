import type { OperationResult } from '../../../Kernel/contract/operations/index.ts';
import type { ModuleShow } from '../../../Kernel/contract/operations/shapes.ts';
import { spanText, timeText } from './quantity.ts';
import { state } from './status.ts';
import type { Style } from './style.ts';
import { fields, table } from './table.ts';
import { escapeText, hang } from './text.ts';

/** `kernelctl module ls` for people. */
export const renderModules = (modules: readonly ModuleShow[], style: Style): string[] =>
  modules.length === 0
    ? ['No modules installed. Make one: kernelctl module init DIR']
    : [
        ...table(
          style,
          [
            { title: 'MODULE', shrink: true },
            { title: 'VERSION', shrink: true },
            { title: 'ZONE' },
            { title: 'TIER', shrink: true },
            { title: 'PHASE' },
            { title: 'INSTANCES', align: 'right' },
            { title: '' },
          ],
          modules.map((module) => [
            module.name,
            module.version,
            module.zone,
            module.tier,
            state(module.phase),
            String(module.instances.length),
            module.signed ? '' : { text: 'unsigned', tone: 'warn' },
          ]),
        ),
        ...modules.flatMap((module) =>
          module.reason === null ? [] : hang(`  ${escapeText(module.name)}: `, module.reason, style.width),
        ),
      ];

const slotText = (slot: ModuleShow['slots']['active']): string =>
  slot === null ? '-' : `${slot.version}  ${slot.digest.slice(0, 19)}…`;

/** `kernelctl module show` for people. */
export const renderModule = (module: ModuleShow, style: Style): string[] => [
  ...fields(style, [
    ['module', `${module.name} ${module.version}`],
    ['phase', state(module.phase)],
    ['reason', module.reason],
    ['zone', module.zone],
    ['tier', module.tier],
    ['tenant', module.tenant],
    ['signed', module.signed ? 'yes' : { text: 'no', tone: 'warn' }],
    ['installed', `${timeText(module.installedAt)}, generation ${module.generation}`],
    ['active', slotText(module.slots.active)],
    ['fallback', slotText(module.slots.fallback)],
    ['next_stable', slotText(module.slots.next_stable)],
    ['config', module.config == null ? null : JSON.stringify(module.config)],
  ]),
  ...(module.functions.length === 0
    ? []
    : [
        '',
        ...table(
          style,
          [
            { title: 'FUNCTION', shrink: true },
            { title: 'TIMEOUT', align: 'right' },
            { title: 'RISK' },
            { title: 'IDEMPOTENT' },
          ],
          module.functions.map((fn) => [fn.name, spanText(fn.timeoutMs), fn.risk, fn.idempotent ? 'yes' : 'no']),
        ),
      ]),
  ...(module.instances.length === 0
    ? []
    : [
        '',
        ...table(
          style,
          [
            { title: 'INSTANCE' },
            { title: 'STATE' },
            { title: 'PID', align: 'right' },
            { title: 'RESTARTS', align: 'right' },
          ],
          module.instances.map((row) => [row.id, state(row.state), String(row.pid ?? '-'), String(row.restarts)]),
        ),
      ]),
];

/** What `module install` came to. */
export const renderInstalled = (installed: OperationResult<'module.install'>, style: Style): string[] => [
  ...hang(
    '',
    `installed ${installed.module} ${installed.version} in ${installed.zone}, generation ${installed.generation}${installed.signed ? '' : ', unsigned'}: ${installed.phase}`,
    style.width,
  ),
  ...hang('  ', installed.digest, style.width),
];
