/** From a fresh clone to a machine that can run the kernel: one list of what is missing, one question, then the steps. */
import { version } from './engine-api.mjs';
import { ensureEngine, enginePackages } from './ensure-engine.mjs';
import { findEngine } from './find-engine.mjs';
import { aptInstall, aptPlan, isDebianLike, isRoot, lacksLibatomic, requirePlatform } from './machine.mjs';
import { checkPinnedNode, installPackages, packageCount, packagesAreCurrent } from './packages.mjs';
import { agree, step, Stop } from './terminal.mjs';

/** @returns {Promise<{ host: string, socket: string, started: boolean }>} the engine, which runs */
export async function prepare({ yes }) {
  requirePlatform();
  const aptPackages = [];
  if (lacksLibatomic()) aptPackages.push(requireLibatomic());
  if ((await findEngine()) === undefined) aptPackages.push(...enginePackages());
  const missing = aptPackages.length > 0 ? aptPlan(aptPackages) : [];
  const current = packagesAreCurrent();
  if (!current) missing.push(`${packageCount()} npm packages, into node_modules (npm ci)`);
  if (missing.length > 0) await agree(missing, { yes });

  if (aptPackages.length > 0) await step(`apt packages: ${aptPackages.join(', ')}`, () => aptInstall(aptPackages));
  if (!current) await step('npm packages', () => installPackages());
  await step('Pinned Node', () => checkPinnedNode());
  let engine;
  await step('Container engine', async () => {
    engine = await ensureEngine({ yes: true });
    return `Docker ${await version(engine.socket)}, ${engine.host}${engine.started ? ', started' : ''}`;
  });
  return engine;
}

function requireLibatomic() {
  if (isRoot() && isDebianLike()) return 'libatomic1';
  throw new Stop(
    'the pinned Node needs libatomic.so.1',
    'install it as root (Debian, Ubuntu: `apt-get install libatomic1`; Fedora: `dnf install libatomic`)',
  );
}
