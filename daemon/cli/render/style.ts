/** How much room there is, and whether colours may be used. */
export type Style = { readonly color: boolean; readonly width: number };

export type Tone = 'good' | 'warn' | 'bad' | 'dim' | 'bold';

const SGR: Readonly<Record<Tone, string>> = { good: '32', warn: '33', bad: '31', dim: '2', bold: '1' };

/** Colours text, on a terminal only. Callers measure text before painting it. */
export const paint = (style: Style, tone: Tone | undefined, text: string): string =>
  !style.color || tone === undefined || text === '' ? text : `\u001b[${SGR[tone]}m${text}\u001b[0m`;

const GOOD = new Set(['running', 'ready', 'reachable']);
const BAD = new Set(['failed', 'quarantined', 'broken', 'unreachable', 'safe', 'gone', 'error', 'critical']);
const QUIET = new Set(['stopped', 'debug', 'info', 'unknown']);

/** The tone of a state, phase, mode or severity. */
export const toneOf = (state: string): Tone => {
  if (GOOD.has(state)) return 'good';
  if (BAD.has(state)) return 'bad';
  return QUIET.has(state) ? 'dim' : 'warn';
};
