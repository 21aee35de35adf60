/** What every instance of a zone is cut from: image, profile and limits, resolved for one start of the zone. */
import type { ZoneName } from '../../Kernel/contract/ids.ts';
import type { ProbeReport } from '../../Kernel/contract/operations/shapes.ts';
import type { SpecTemplate } from '../instance/instance.ports.ts';
import type { ModuleResources } from '../supervisor/desired.ts';

export type ZoneBlueprint = {
  readonly zone: ZoneName;
  readonly image: string;
  readonly seccomp: { readonly profile: string; readonly sha256: string; readonly allowedSyscalls: number };
  /** The specification of an instance with these limits. @throws KernelError `MODULE_INVALID` when they cannot be met */
  readonly template: (resources: ModuleResources) => SpecTemplate;
};

/** Makes zones ready; both steps need the engine. */
export type ZonePreparation = {
  /** Image and profile. @throws KernelError `ENGINE_…`, `IMAGE_UNAVAILABLE`, `CONFIG_INVALID` */
  readonly resolve: (zone: ZoneName, signal: AbortSignal) => Promise<ZoneBlueprint>;
  /** Tries natively, under the zone's own profile, everything that it must refuse. */
  readonly probe: (blueprint: ZoneBlueprint, signal: AbortSignal) => Promise<ProbeReport>;
};
