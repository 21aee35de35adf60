/** A whole set of handlers with simple answers, and a gate around it. */
import { OPERATIONS } from '../../Kernel/contract/operations/index.ts';
import type { KernelEvent } from '../../Kernel/contract/operations/shapes.ts';
import type { Handlers, KernelMode } from '../../Kernel/gate/call.ts';
import { createGate } from '../../Kernel/gate/gate.ts';
import { standardSteps } from '../../Kernel/gate/steps/standard-steps.ts';
import { createClock } from '../../daemon/adapters/clock.ts';

const zoneAnswer = async ({ zone }: { zone: 'stable' | 'sandbox' }) => ({ zone, state: 'ready', reason: null });
const notNeeded = (): never => {
  throw new Error('this handler is not part of the test');
};

export const event = (seq: number, severity: KernelEvent['severity'] = 'info'): KernelEvent => ({
  seq,
  at: '2026-01-01T00:00:00.000Z',
  kind: 'tested',
  severity,
  reason: 'because',
});

export const handlers = (changed: Partial<Handlers> = {}, mode: () => KernelMode = () => 'running'): Handlers => ({
  'kernel.status': notNeeded,
  'kernel.health': async () => ({ ok: true, mode: mode(), reasons: [] }),
  'kernel.diagnostics': async () => ({ queues: 0 }),
  'kernel.doctor': async () => ({ ok: true, checks: [] }),
  'event.follow': async function* ({ limit, follow }, { signal }) {
    for (let seq = 1; seq <= limit; seq += 1) yield event(seq);
    if (follow) await new Promise((resolve) => signal.addEventListener('abort', resolve));
  },
  'zone.list': async () => [],
  'zone.inspect': notNeeded,
  'zone.start': zoneAnswer,
  'zone.stop': zoneAnswer,
  'zone.restart': zoneAnswer,
  'module.list': async () => [],
  'module.show': notNeeded,
  'module.call': async ({ params }) => ({ echo: params }),
  'upload.open': notNeeded,
  'upload.write': notNeeded,
  'module.install': notNeeded,
  'module.restart': notNeeded,
  'module.remove': notNeeded,
  'module.logs': async function* () {},
  'config.check': notNeeded,
  'config.show': notNeeded,
  'config.reload': notNeeded,
  ...changed,
});

export const OPERATOR = { kind: 'operator', name: 'operator' } as const;

/** A gate over the real declarations, with what it published. */
export const testGate = (
  changed: Partial<Handlers> = {},
  options: { mode?: () => KernelMode; perConnection?: number; total?: number } = {},
) => {
  const mode = options.mode ?? (() => 'running' as const);
  const published: Omit<KernelEvent, 'seq' | 'at'>[] = [];
  const gate = createGate({
    operations: OPERATIONS,
    handlers: handlers(changed, mode),
    steps: standardSteps({
      operations: OPERATIONS,
      mode,
      limits: () => ({ perConnection: options.perConnection ?? 64, total: options.total ?? 4_096 }),
    }),
    clock: createClock(),
    events: { publish: (item) => published.push(item) },
  });
  const ask = (method: string, params: unknown = {}, more: object = {}) =>
    gate.dispatch({ method, params, principal: OPERATOR, socket: 'operator', ...more });
  return { gate, ask, published };
};
