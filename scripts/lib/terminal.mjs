/** What the scripts say: to standard error, so that standard output stays free for what was asked for. */
import { createInterface } from 'node:readline';
import { spawnSync } from 'node:child_process';

const onTerminal = process.stderr.isTTY === true;
const colours = onTerminal && !process.env.NO_COLOR;
const paint = (code, text) => (colours ? `\u001B[${code}m${text}\u001B[0m` : text);

/** An expected failure: the reader gets the message and what to do, never a stack. */
export class Stop extends Error {
  constructor(message, remedy) {
    super(message);
    this.remedy = remedy;
  }
}

export const say = (text = '') => process.stderr.write(`${text}\n`);

/** Runs one step and prints how it went. `work` may return a note, which stands behind the step's name. */
export async function step(name, work) {
  const from = performance.now();
  if (onTerminal) process.stderr.write(`${paint(36, '…')} ${name}`);
  const clear = onTerminal ? '\r\u001B[K' : '';
  try {
    const note = await work();
    const took = `${((performance.now() - from) / 1000).toFixed(1)} s`;
    say(`${clear}${paint(32, '✔')} ${name}${typeof note === 'string' ? `: ${note}` : ''} ${paint(2, `(${took})`)}`);
    return note;
  } catch (error) {
    say(`${clear}${paint(31, '✖')} ${name}`);
    throw error;
  }
}

/**
 * Lists what would be installed and asks. Without a terminal, or with `--yes`, it lists and goes on.
 *
 * @param {string[]} items one line each
 */
export async function agree(items, { yes }) {
  say('This will be installed:');
  for (const item of items) say(`  · ${item}`);
  if (yes || !process.stdin.isTTY || !onTerminal) return;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await new Promise((resolve) => {
    terminal.question('Go on? [Y/n] ', resolve);
    terminal.once('close', () => resolve('n'));
  });
  terminal.close();
  if (!/^(y|yes|)$/i.test(answer.trim()))
    throw new Stop('nothing was installed', 'run the command again when you agree');
}

/** Runs a program quietly; on failure its last lines are part of the message. */
export function runQuietly(program, args, { cwd, remedy, env } = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    env: env ?? process.env,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 15 * 60_000,
  });
  if (error?.code === 'ENOENT') throw new Stop(`${program} is not installed`, remedy);
  if (error !== undefined || status !== 0) {
    const tail = lastLines(`${stdout ?? ''}\n${stderr ?? ''}`, 12);
    throw new Stop(`${program} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}\n${tail}`, remedy);
  }
  return stdout;
}

/** The last lines that hold anything, indented. */
export function lastLines(text, count) {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-count)
    .map((line) => `    ${line.slice(0, 300)}`)
    .join('\n');
}

/** Runs the body of a script and turns its failure into one message and an exit status. */
export async function main(name, body) {
  try {
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    // A full disk or a missing permission is told in one line too; anything else is a fault of ours and keeps its stack.
    if (!(error instanceof Stop || error.syscall !== undefined)) throw error;
    say(`${name}: ${error.message}`);
    if (error.remedy) say(`  → ${error.remedy}`);
    process.exitCode = 1;
  }
}
