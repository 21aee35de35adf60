/** A zone that kernel.yaml disables is as it should be, wherever it is shown. */
import { describe, expect, it } from 'vitest';
import type { OperationContext } from '../../../../Kernel/gate/call.ts';
import { checkZones } from '../../../../daemon/handlers/doctor.ts';
import { createHandlers, type HandlerPorts } from '../../../../daemon/handlers/handlers.ts';
import { newZone, type ZoneState } from '../../../../zones/zone/zone.machine.ts';
import type { Supervisor } from '../../../../zones/supervisor/supervisor.ts';
import { HEADER, valid } from '../../config/config-support.ts';

const supervisorOf = (states: Readonly<Record<string, ZoneState>>): Supervisor =>
  ({
    engine: () => ({ state: 'reachable', facts: null, reason: null }),
    zones: new Map(
      Object.entries(states).map(([zone, state]) => [
        zone,
        {
          zone,
          state: () => state,
          probe: () => null,
          blueprint: () => null,
          units: () => new Map(),
          instances: () => [],
          desired: () => new Map(),
        },
      ]),
    ),
  }) as unknown as Supervisor;
const stopped: ZoneState = { kind: 'stopped', attempt: 1, reason: 'stopped by root' };

describe('doctor', () => {
  it('finds a disabled zone ok, and one that merely does not run worth a warning', () => {
    const checks = checkZones({
      supervisor: supervisorOf({ stable: stopped, sandbox: newZone }),
      zoneEnabled: (zone) => zone === 'stable',
    });
    expect(checks).toMatchObject([
      { name: 'zone stable', status: 'warning', observed: 'stopped, no probe yet' },
      { name: 'zone sandbox', status: 'ok', observed: 'disabled in kernel.yaml', remedy: null },
    ]);
  });

  it('still warns of a disabled zone that runs', () => {
    const [check] = checkZones({
      supervisor: supervisorOf({ sandbox: { kind: 'stopping', attempt: 1, restart: false, reason: 'x' } }),
      zoneEnabled: () => false,
    });
    expect(check).toMatchObject({ status: 'warning' });
  });
});

describe('status, zone ls and zone inspect', () => {
  const { config } = valid(`${HEADER}zones: {sandbox: {enabled: false}}\n`);
  const supervisor = supervisorOf({ stable: newZone, sandbox: newZone });
  const handlers = createHandlers({
    paths: { state: '/home' },
    configState: { config: () => config },
    kernel: () => ({ state: () => ({ kind: 'running' }), bootMs: () => 1 }),
    mode: () => 'running',
    engine: () => ({}),
    engineHost: () => 'unix:///x',
    supervisor: () => supervisor,
    supervisorIfUp: () => supervisor,
    modulesIfUp: () => null,
  } as unknown as HandlerPorts);
  const ctx = { signal: new AbortController().signal } as OperationContext;

  it('say why a disabled zone does not run', async () => {
    const { zones } = await handlers['kernel.status']({}, ctx);
    expect(zones.map(({ reason }) => reason)).toEqual(['not started yet', 'disabled in kernel.yaml']);
    const rows = await handlers['zone.list']({}, ctx);
    expect(rows.map(({ reason }) => reason)).toEqual(['not started yet', 'disabled in kernel.yaml']);
    expect((await handlers['zone.inspect']({ zone: 'sandbox' }, ctx)).reason).toBe('disabled in kernel.yaml');
  });
});
