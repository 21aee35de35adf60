import { renderDoctor } from '../render/doctor.ts';
import { renderStatus } from '../render/status.ts';
import { ask, present, type Run } from '../session.ts';

export const status: Run = async (session) => {
  await present(session, await ask(session, 'kernel.status', {}), renderStatus);
  return 0;
};

/** Ends with 1 when a check failed; warnings are not failures. */
export const doctor: Run = async (session) => {
  const result = await ask(session, 'kernel.doctor', {});
  await present(session, result, renderDoctor);
  return result.ok ? 0 : 1;
};
