/** The settings that each zone has. */
import { section } from './section.table.ts';
import { boolean, cpuShare, integer, memoryShare, size, text, textOr } from './setting-kinds.table.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** The section of one zone with its defaults. */
export const zoneSection = (name: string, defaults: { readonly share: string; readonly pids: number }) =>
  section(`The zone ${name}: its share of the pool and what its instances are made of.`, {
    enabled: boolean({ default: true, effect: 'restart', describe: 'Whether the zone exists at all.' }),
    memory: memoryShare({
      default: defaults.share,
      effect: 'live',
      of: 'the pool',
      auto: false,
      min: 64 * MIB,
      describe: 'Memory that all instances of the zone may hold together.',
    }),
    cpus: cpuShare({
      default: defaults.share,
      effect: 'live',
      of: 'the pool',
      auto: false,
      describe:
        'Bounds the cores that one instance of the zone may be given; the sum over its instances is not bounded yet.',
    }),
    maxInstances: integer({
      default: 64,
      min: 1,
      max: 10_000,
      effect: 'live',
      describe: 'Instances of the zone at one time, standbys included.',
    }),
    image: textOr({
      default: 'local',
      word: 'local',
      effect: 'instances',
      maxLength: 255,
      pattern: '[a-z0-9][a-zA-Z0-9._:/@-]{0,254}',
      expected: 'the name of an image that the engine already has',
      describe: 'Image of the instances. local: built here from the pinned Node. Nothing is ever pulled.',
    }),
    runtime: text({
      default: 'runc',
      effect: 'instances',
      pattern: '[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}',
      expected: 'the name of a runtime known to the engine, as runc',
      describe: 'OCI runtime, by the name the engine knows it under.',
    }),
    seccomp: textOr({
      default: 'default',
      word: 'default',
      effect: 'instances',
      maxLength: 1024,
      pattern: '/[^\\u0000-\\u001f]{1,1023}',
      expected: 'the absolute path of a seccomp profile',
      describe: `Seccomp profile. default: config/seccomp/${name}.json.`,
    }),
    instance: section(`Limits of each instance of ${name}.`, {
      memory: size({
        default: '128MiB',
        min: 64 * MIB,
        max: 1024 * GIB,
        effect: 'instances',
        describe: 'Memory and swap together; over it the instance is killed.',
      }),
      cpus: cpuShare({
        default: '100%',
        effect: 'instances',
        of: 'the zone',
        auto: false,
        describe: 'Cores that one instance may use.',
      }),
      pids: integer({
        default: defaults.pids,
        min: 16,
        max: 4096,
        effect: 'instances',
        describe: 'Processes and threads; Node itself needs about 11.',
      }),
      nofile: integer({
        default: 1024,
        min: 64,
        max: 1_048_576,
        effect: 'instances',
        describe: 'Open file descriptors of one process.',
      }),
      tmp: size({
        default: '16MiB',
        min: MIB,
        max: 1024 * GIB,
        effect: 'instances',
        describe: 'Size of /tmp; counts as memory of the instance.',
      }),
      moduleTmp: size({
        default: '32MiB',
        min: MIB,
        max: 1024 * GIB,
        effect: 'instances',
        describe: 'Size of /module, which holds the files of the module; counts as memory of the instance.',
      }),
    }),
  });
