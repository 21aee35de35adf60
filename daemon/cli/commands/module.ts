import { renderModule, renderModules } from '../render/module.ts';
import { escapeText } from '../render/text.ts';
import { ask, present, type Run } from '../session.ts';

export const list: Run = async (session) => {
  await present(session, await ask(session, 'module.list', {}), renderModules);
  return 0;
};

export const show =
  (module: string): Run =>
  async (session) => {
    await present(session, await ask(session, 'module.show', { module }), renderModule);
    return 0;
  };

export const restart =
  (module: string): Run =>
  async (session) => {
    await present(session, await ask(session, 'module.restart', { module }), renderModule);
    return 0;
  };

export const remove =
  (module: string): Run =>
  async (session) => {
    await present(session, await ask(session, 'module.remove', { module }), (result) => [
      result.removed ? `removed ${escapeText(result.module)}` : `${escapeText(result.module)} was not installed`,
    ]);
    return 0;
  };
