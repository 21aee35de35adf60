/** Settings of a zone and limits of a module -> specification of a container, and the digest that tells when to replace it. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { HomeId, ZoneName } from '../../Kernel/contract/ids.ts';
import type { ContainerSpec } from '../../Kernel/contract/ports.ts';
import { formatSize } from '../../Kernel/contract/units.ts';
import { AGENT_PATH, NODE_PATH } from '../image/layout.plan.ts';
import { nodeCommand } from './node-flags.plan.ts';
import { chooseSizeClass, SIZE_CLASSES_BYTES } from './size-class.verdict.ts';

export type ZoneInstanceSettings = {
  readonly zone: ZoneName;
  readonly image: string;
  /** `''` leaves the engine's default runtime. */
  readonly runtime: string;
  /** Rounded up to a size class. */
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly pids: number;
  readonly nofile: number;
  readonly tmpBytes: number;
  readonly moduleTmpBytes: number;
  /** The whole profile as JSON text. */
  readonly seccompProfile: string;
  readonly orphanTimeoutMs: number;
};

/** All of a specification but what is known only when an instance is made. */
export type InstanceSpecTemplate = Omit<ContainerSpec, 'instance' | 'uid' | 'directory'>;

/** What the two tmpfs leave of the memory limit for Node: a full /tmp must not kill the instance by itself. */
const RUNTIME_BYTES = 48 * 1024 * 1024;
const PAGE_BYTES = 4096;

/**
 * `sha256Hex` is handed in, since a plan imports nothing that could fail.
 *
 * @throws KernelError `MODULE_INVALID` when more memory is asked for than the largest class has
 */
export const planInstanceSpec = (
  home: HomeId,
  settings: ZoneInstanceSettings,
  sha256Hex: (text: string) => string,
): InstanceSpecTemplate => {
  const sizeClass = chooseSizeClass(settings.memoryBytes);
  if (sizeClass === null) {
    throw new KernelError(
      'MODULE_INVALID',
      `${formatSize(settings.memoryBytes)} for one instance is more than the largest size class`,
      {
        remedy: `ask for at most ${formatSize(SIZE_CLASSES_BYTES.at(-1) ?? 0)}`,
      },
    );
  }
  const { memoryBytes } = sizeClass;
  const undigested = {
    home,
    zone: settings.zone,
    sizeClass: sizeClass.name,
    image: settings.image,
    runtime: settings.runtime,
    seccompProfile: settings.seccompProfile,
    memoryBytes,
    cpus: settings.cpus,
    pids: settings.pids,
    nofile: settings.nofile,
    ...fitTmpfs(memoryBytes, settings.tmpBytes, settings.moduleTmpBytes),
    command: nodeCommand(settings.zone, NODE_PATH, AGENT_PATH, memoryBytes),
    environment: { KERNELD_ORPHAN_TIMEOUT_MS: String(settings.orphanTimeoutMs) },
  };
  // Keys stand in the order written above, so equal specifications have equal text.
  return { ...undigested, specDigest: `sha256:${sha256Hex(JSON.stringify([SPEC_VERSION, undigested]))}` };
};

/** Raised when the engine is told something else for the same specification (zones/docker/create-body.plan.ts). */
const SPEC_VERSION = 2;

/** Both are made smaller in proportion when they are too large for the class of the module. */
const fitTmpfs = (memoryBytes: number, tmpBytes: number, moduleTmpBytes: number) => {
  const room = Math.max(memoryBytes - RUNTIME_BYTES, 2 * PAGE_BYTES);
  const wanted = tmpBytes + moduleTmpBytes;
  if (wanted <= room) return { tmpBytes, moduleTmpBytes };
  const fit = (bytes: number): number =>
    Math.max(PAGE_BYTES, Math.floor(((bytes / wanted) * room) / PAGE_BYTES) * PAGE_BYTES);
  // The larger one takes what rounding leaves out, and gives what a floor of one page adds.
  const smaller = fit(Math.min(tmpBytes, moduleTmpBytes));
  return tmpBytes <= moduleTmpBytes
    ? { tmpBytes: smaller, moduleTmpBytes: room - smaller }
    : { tmpBytes: room - smaller, moduleTmpBytes: smaller };
};
