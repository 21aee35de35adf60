/** First half of `scripts/start`: prepares the machine and prints the engine's host for the second half. */
import { prepare } from './prepare.mjs';
import { main, Stop } from './terminal.mjs';
import { isRoot } from './machine.mjs';

await main('start', async () => {
  const words = process.argv.slice(2);
  if (words.some((word) => word !== '--yes')) {
    process.stderr.write(
      'Usage: scripts/start [--yes]\n\nKERNELD_HOME is the directory of the kernel (state in /var/lib/kerneld, sockets in /run/kerneld).\n',
    );
    return 2;
  }
  if (!isRoot() && !process.env.KERNELD_HOME) {
    throw new Stop(
      'only root may use /var/lib/kerneld',
      'name a directory of your own: `KERNELD_HOME=$HOME/.kerneld scripts/start`',
    );
  }
  const { host } = await prepare({ yes: words.includes('--yes') });
  process.stdout.write(`${host}\n`);
  return 0;
});
