/**
 * Which file may import which: contract <- pure files <- runners <- zones <- daemon.
 *
 * Each rule's comment is what the offender reads, so it says what to do instead.
 * A type that is only named (`import type`) carries no behaviour, so the rules about purity let it pass;
 * the rules about direction do not.
 */
const CONTRACT = '^Kernel/contract/';
/** Decisions, and the constant tables that they look things up in (`deny-table.ts`, `labels.table.ts`). */
const PURE = '([.](machine|verdict|plan)|[.-]table)[.]ts$';
const LIBRARY = ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'];
const NODE = ['core'];

/** What a library resolves to: its folder in node_modules, at any depth. */
const library = (...names) => `node_modules/(${names.join('|')})/`;

const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

export default {
  forbidden: [
    rule(
      'contract-is-the-leaf',
      'Everything may import the contract, so it imports nothing but itself. Move the shared part into Kernel/contract, or pass it in as an argument.',
      { path: CONTRACT },
      { path: '^(Kernel|zones|daemon|config|fallback|scripts|test)/', pathNot: CONTRACT },
    ),
    rule(
      'contract-has-no-effects',
      'The contract is loaded by every program, the CLI too: zod and yaml are its only libraries, node:path its only built-in. Put what reads or writes behind a port (Kernel/contract/ports.ts) and its adapter into daemon/adapters.',
      { path: CONTRACT },
      { dependencyTypes: [...LIBRARY, ...NODE], pathNot: [library('zod', 'yaml'), '^(node:)?path$'] },
    ),
    rule(
      'kernel-sees-only-itself',
      'The kernel decides and touches nothing. Declare a port in Kernel/contract/ports.ts and let daemon/compose.ts pass the adapter in.',
      { path: '^Kernel/' },
      { path: '^(zones|daemon|config|fallback|scripts|test)/' },
    ),
    rule(
      'kernel-uses-no-library',
      'Libraries that do I/O or hold time enter the kernel through a port, as an adapter in daemon/adapters. Only zod may be imported.',
      { path: '^Kernel/', pathNot: CONTRACT },
      { dependencyTypes: LIBRARY, dependencyTypesNot: ['type-only'], pathNot: library('zod') },
    ),
    rule(
      'kernel-does-no-io',
      'The kernel opens no file, socket or process and reads no clock: use a port of Kernel/contract/ports.ts.',
      { path: '^Kernel/', pathNot: CONTRACT },
      { dependencyTypes: NODE, dependencyTypesNot: ['type-only'] },
    ),
    rule(
      'pure-files-import-pure-files',
      'A machine, verdict or plan imports only the contract and other pure files, so that every state can be explored without anything real. Move what it needs into such a file (constants into a .table.ts), or pass the value in.',
      { path: PURE },
      { path: '^(Kernel|zones|daemon|config)/', pathNot: [CONTRACT, PURE], dependencyTypesNot: ['type-only'] },
    ),
    rule(
      'pure-files-use-nothing-real',
      'A machine, verdict or plan imports no built-in and no library (types excepted). Take the value as an argument, or return an effect that a runner executes.',
      { path: PURE },
      { dependencyTypes: [...LIBRARY, ...NODE], dependencyTypesNot: ['type-only'] },
    ),
    rule(
      'zones-see-no-daemon',
      'Zones are given what they need by daemon/compose.ts. Take it as a port or a value.',
      { path: '^zones/' },
      { path: '^(daemon|config|fallback|scripts|test)/' },
    ),
    rule(
      'only-docker-imports-dockerode',
      'The engine is reached through EnginePort (Kernel/contract/ports.ts); zones/docker alone knows the library.',
      { pathNot: '^zones/docker/' },
      { path: library('dockerode', 'docker-modem', '@types/dockerode') },
    ),
    rule(
      'config-imports-the-contract-only',
      'config/ describes what an operator writes; reading it from disk and acting on it is for daemon/config. Only Kernel/contract, zod and yaml may be imported.',
      { path: '^config/.*[.]ts$', pathNot: '^config/(emit-schema[.]ts$|modules/)' },
      { pathNot: ['^config/', CONTRACT, library('zod', 'yaml')] },
    ),
    rule(
      'terminal-sees-the-contract-only',
      'The CLI and the client must start fast and work against a kernel of another version: they see Kernel/contract, the module packer (daemon/modules) and the reader of kernel.yaml (daemon/config). Ask the kernel by an operation instead.',
      { path: '^daemon/(cli|client)/' },
      {
        path: '^(Kernel|zones|daemon|fallback|scripts|test)/',
        pathNot: [CONTRACT, '^daemon/(cli|client|modules|config)/'],
      },
    ),
    rule(
      'terminal-uses-few-libraries',
      'kernelctl loads commander, listr2, ws, yaml and zod, and nothing else: every library costs each command its start.',
      { path: '^daemon/(cli|client)/' },
      { dependencyTypes: LIBRARY, pathNot: library('commander', 'listr2', 'ws', 'yaml', 'zod', '@types/ws') },
    ),
    rule(
      'client-knows-no-terminal',
      'daemon/client is used by other programs as well: return values and throw errors, and let daemon/cli print them.',
      { path: '^daemon/client/' },
      { path: '^daemon/cli/' },
    ),
    rule(
      'fallback-stands-alone',
      'fallback/ answers when nothing else loads: it imports itself and node built-ins.',
      { path: '^fallback/' },
      { pathNot: '^fallback/', dependencyTypesNot: NODE },
    ),
    rule(
      'launchers-stand-alone',
      'The launchers must run with node_modules gone and on Node 18: built-ins and launch.mjs only, everything else by a dynamic import that may fail.',
      { path: '^daemon/[^/]+[.]mjs$' },
      { pathNot: '^daemon/launch[.]mjs$', dependencyTypesNot: NODE },
    ),
    rule(
      'agent-stands-alone',
      'The agent is bundled into the zone image and shares its process with hostile code: it sees the contract and the built-ins. Send what it needs over its socket.',
      { path: '^zones/agent/' },
      { path: '^(Kernel|zones|daemon|config)/', pathNot: [CONTRACT, '^zones/agent/'] },
    ),
    rule(
      'no-circles',
      'Two files that need each other at load time are one file, or share a third: split off what both use. Types may go round.',
      {},
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),
    rule(
      'no-dev-library',
      'This library is in devDependencies, so an installed kerneld would lack it. Move it to dependencies, or do without.',
      { path: '^(Kernel|zones|daemon|config|fallback)/' },
      { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only', 'npm'], pathNot: library('@types/[^/]+') },
    ),
    rule(
      'no-undeclared-library',
      'This library is not in package.json; a version that happens to lie in node_modules may be gone after the next install.',
      { path: '^(Kernel|zones|daemon|config|fallback|scripts)/' },
      { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    ),
    rule(
      'resolves',
      'The file or library does not exist. Imports carry the extension of the source: ./x.ts.',
      {},
      { couldNotResolve: true },
    ),
  ],
  options: {
    // swc, because the compiler of TypeScript 7 has no API to parse with; see scripts/lib/swc-using.mjs.
    parser: 'swc',
    tsPreCompilationDeps: true,
    // A built-in that Node lists only when its flag is set.
    builtInModules: { add: ['ffi'] },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.mjs', '.js'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
};
