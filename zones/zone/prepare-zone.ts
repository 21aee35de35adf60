/** Makes a zone ready: image, seccomp profile, specification; then the probe. */
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import { parseInstanceId, ZONE_NAMES, type HomeId, type InstanceId, type ZoneName } from '../../Kernel/contract/ids.ts';
import type { Clock, ContainerSpec, EnginePort, Log, Random } from '../../Kernel/contract/ports.ts';
import type { ImageStore } from '../docker/image-store.ts';
import { bundleAgent } from '../image/agent-bundle.ts';
import { ensureZoneImage, sweepZoneImages } from '../image/zone-image.ts';
import { instanceDirectory, makeInstanceDirectory } from '../instance/launch-container.ts';
import type { InstancePorts, SpecTemplate } from '../instance/instance.ports.ts';
import type { OpenLink } from '../link/link.ts';
import type { UidLeases } from '../instance/uid-leases.ts';
import { planInstanceSpec } from '../instance-spec/instance-spec.plan.ts';
import { acceptRuntime } from '../probe/accept-runtime.ts';
import { runProbe } from '../probe/run-probe.ts';
import { checkUidRange } from '../uids/host-uids.ts';
import type { UidClaim } from '../uids/uid-lease.verdict.ts';
import type { ZoneBlueprint, ZonePreparation } from './zone-blueprint.ts';

/** An import of 150 MB takes some seconds on a slow disk. */
const BUILD_TIMEOUT_MS = 120_000;
/** Images of earlier programs are kept this long. */
const OLD_IMAGE_MS = 24 * 3_600_000;
const PROBE_TIMEOUT_MS = 15_000;
const UID_ATTEMPTS = 8;
/** The runtime that all of this was made for; any other is tried out first. */
const NATIVE_RUNTIME = 'runc';

export type PrepareZonePorts = {
  readonly home: HomeId;
  readonly engine: EnginePort & { readonly images: ImageStore };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly uids: UidLeases;
  readonly openLink: OpenLink;
  readonly claims: () => Promise<readonly UidClaim[]>;
  readonly config: () => EffectiveConfig;
  /** The installed program: where `zones/`, `config/` and the lock file are. */
  readonly projectDirectory: string;
  readonly cacheDirectory: string;
  readonly instancesDir: string;
};

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The profile of a zone: its own in config/seccomp, or a file that kernel.yaml names. */
const readProfile = async (
  ports: PrepareZonePorts,
  zone: ZoneName,
): Promise<{ name: string; text: string; allowed: number }> => {
  const named = ports.config().zones[zone].seccomp;
  const file = named === null ? join(ports.projectDirectory, 'config/seccomp', `${zone}.json`) : named;
  try {
    const profile = JSON.parse(await readFile(file, 'utf8')) as { syscalls?: { names?: unknown[]; action?: string }[] };
    const allowed = new Set(
      (profile.syscalls ?? []).filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap(({ names }) => names ?? []),
    ).size;
    return { name: named ?? zone, text: JSON.stringify(profile), allowed };
  } catch (thrown) {
    throw new KernelError(
      'CONFIG_INVALID',
      `the seccomp profile ${file} cannot be used: ${toKernelError(thrown).message}`,
      {
        cause: thrown,
        remedy: `Correct zones.${zone}.seccomp in kernel.yaml, or leave it out.`,
      },
    );
  }
};

export type ZonePreparationPort = ZonePreparation & {
  readonly probing: () => ReadonlySet<InstanceId>;
  readonly restoreImage: InstancePorts['restoreImage'];
};

/** Prepares zones; ids of probes in progress are in `probing`, so that no sweep takes them for orphans. */
export const createZonePreparation = (ports: PrepareZonePorts): ZonePreparationPort => {
  const probing = new Set<InstanceId>();
  let building: Promise<string> | null = null;

  const buildImage = async (signal: AbortSignal): Promise<string> => {
    const { projectDirectory, cacheDirectory } = ports;
    const bundle = (entry: string) => bundleAgent({ entry, projectDirectory, cacheDirectory, signal });
    const [agent, probe] = [await bundle('zones/agent/main.ts'), await bundle('zones/probe/probe.ts')];
    const image = await ensureZoneImage(
      {
        images: ports.engine.images,
        nodePath: process.execPath,
        agent,
        probe,
        cacheDirectory,
        clock: ports.clock,
        log: ports.log,
        buildTimeoutMs: BUILD_TIMEOUT_MS,
      },
      signal,
    );
    if (image.built) await sweepOldImages(image.tag, signal);
    return image.tag;
  };

  /** A new program leaves the image of the old one behind. What a container uses stays, and what is missed is remade. */
  const sweepOldImages = async (tag: string, signal: AbortSignal): Promise<void> => {
    try {
      const named = ZONE_NAMES.flatMap((zone) => ports.config().zones[zone].image ?? []);
      const keep = new Set([tag, ...named]);
      const madeBeforeMs = ports.clock.wallMs() - OLD_IMAGE_MS;
      const removed = await sweepZoneImages({ images: ports.engine.images, keep, madeBeforeMs }, signal);
      if (removed.length > 0) ports.log.info('old zone images removed', { removed });
    } catch (thrown) {
      ports.log.warn('old zone images could not be removed', { reason: toKernelError(thrown).message });
    }
  };

  /** Both zones ask at the same time for the same image: it is made once. */
  const localImage = (signal: AbortSignal): Promise<string> => {
    building ??= buildImage(signal).finally(() => {
      building = null;
    });
    return building;
  };

  const resolveImage = async (zone: ZoneName, signal: AbortSignal): Promise<string> => {
    const named = ports.config().zones[zone].image;
    if (named === null) return localImage(signal);
    if (await ports.engine.images.has(named, signal)) return named;
    throw new KernelError('IMAGE_UNAVAILABLE', `the engine has no image ${named}; none is ever pulled`, {
      remedy: `Bring it to the engine, or leave zones.${zone}.image out of kernel.yaml.`,
    });
  };

  const checkRuntime = async (zone: ZoneName, signal: AbortSignal): Promise<void> => {
    const facts = await ports.engine.facts(signal);
    if (!facts.seccomp || !facts.memoryLimit || !facts.pidsLimit) {
      throw new KernelError('ENGINE_UNSUITABLE', 'the engine lacks seccomp, or limits of memory or processes', {
        context: { seccomp: facts.seccomp, memoryLimit: facts.memoryLimit, pidsLimit: facts.pidsLimit },
        remedy: 'kernelctl doctor says which and what to do.',
      });
    }
    const { runtime } = ports.config().zones[zone];
    if (!facts.runtimes.includes(runtime)) {
      throw new KernelError(
        'ENGINE_UNSUITABLE',
        `the engine has no runtime ${runtime}; it has ${facts.runtimes.join(', ')}`,
        {
          remedy: `Correct zones.${zone}.runtime in kernel.yaml.`,
        },
      );
    }
    checkUidRange(ports.config().instances.uidRange, await ports.claims(), facts);
  };

  /** Runs something in a container that is the zone's own in everything, and belongs to no module. */
  const throwaway = async <T>(
    template: SpecTemplate,
    signal: AbortSignal,
    run: (spec: ContainerSpec) => Promise<T>,
  ): Promise<T> => {
    const instance = parseInstanceId(`i-${ports.random.hex(6)}`);
    probing.add(instance);
    try {
      const directory = await makeInstanceDirectory(ports.instancesDir, instance);
      for (let attempt = 1; ; attempt += 1) {
        const uid = await ports.uids.lease(signal);
        try {
          const result = await run({ ...template, instance, uid, directory });
          ports.uids.release(uid);
          return result;
        } catch (thrown) {
          ports.uids.lost(uid);
          if (toKernelError(thrown).code !== 'UID_UNAVAILABLE' || attempt >= UID_ATTEMPTS) throw thrown;
        }
      }
    } finally {
      probing.delete(instance);
      await rm(instanceDirectory(ports.instancesDir, instance), { recursive: true, force: true });
    }
  };

  return {
    probing: () => probing,
    restoreImage: async (image, signal) => {
      // Named in kernel.yaml: nobody here can make it. Made here: the same content has the same tag again.
      if (image !== (await localImage(signal)))
        throw new KernelError('IMAGE_UNAVAILABLE', `the engine has no image ${image}`);
    },
    resolve: async (zone, signal): Promise<ZoneBlueprint> => {
      await checkRuntime(zone, signal);
      const image = await resolveImage(zone, signal);
      const profile = await readProfile(ports, zone);
      const { runtime } = ports.config().zones[zone];
      return {
        zone,
        image,
        seccomp: { profile: profile.name, sha256: sha256Hex(profile.text), allowedSyscalls: profile.allowed },
        // Image, runtime and profile are those that the probe tried; limits are the ones in force when an instance is made.
        template: (resources) => {
          const { instance } = ports.config().zones[zone];
          const { orphanTimeoutMs } = ports.config().instances;
          return planInstanceSpec(
            ports.home,
            {
              zone,
              image,
              runtime,
              seccompProfile: profile.text,
              orphanTimeoutMs,
              nofile: instance.nofile,
              moduleTmpBytes: instance.moduleTmpBytes,
              memoryBytes: resources.memoryBytes ?? instance.memoryBytes,
              cpus: resources.cpus ?? instance.cpus,
              pids: resources.pids ?? instance.pids,
              tmpBytes: resources.tmpBytes ?? instance.tmpBytes,
            },
            sha256Hex,
          );
        },
      };
    },
    probe: async (blueprint, signal) => {
      const template = blueprint.template({});
      if (template.runtime !== NATIVE_RUNTIME) {
        const limits = ports.config().wire.agent;
        const accept = {
          engine: ports.engine,
          openLink: ports.openLink,
          clock: ports.clock,
          limits,
          timeoutMs: PROBE_TIMEOUT_MS,
        };
        await throwaway(template, signal, (spec) => acceptRuntime(accept, spec, signal));
      }
      return throwaway(template, signal, (spec) =>
        runProbe({ engine: ports.engine, clock: ports.clock, spec, timeoutMs: PROBE_TIMEOUT_MS }, signal),
      );
    },
  };
};
