import type { ZoneName } from '../../../Kernel/contract/ids.ts';
import { renderZoneChange, renderZoneInspect, renderZones } from '../render/zone.ts';
import { ask, present, type Run } from '../session.ts';

export const list: Run = async (session) => {
  await present(session, await ask(session, 'zone.list', {}), renderZones);
  return 0;
};

export const inspect =
  (zone: ZoneName): Run =>
  async (session) => {
    await present(session, await ask(session, 'zone.inspect', { zone }), renderZoneInspect);
    return 0;
  };

/** Starts, stops or restarts a zone. */
export const change =
  (action: 'start' | 'stop' | 'restart', zone: ZoneName): Run =>
  async (session) => {
    await present(session, await ask(session, `zone.${action}`, { zone }), renderZoneChange);
    return 0;
  };
