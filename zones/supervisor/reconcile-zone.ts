/**
 * Brings containers, directories and records of a zone to what this kernel holds: adopts and removes by plan, then
 * clears what belongs to nothing. Level-triggered: the first look after a start and every later sweep are the same.
 */
import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { HomeId, InstanceId, ModuleName, ZoneName } from '../../Kernel/contract/ids.ts';
import type { ContainerFacts } from '../../Kernel/contract/ports.ts';
import type { InstancePorts } from '../instance/instance.ports.ts';
import type { InstanceRecord } from '../instance/instance-record.ts';
import type { Report, Unit } from '../unit/unit.runner.ts';
import { planAdoption, type OpenPlace } from './adoption.plan.ts';
import type { ZoneUnits } from './zone-units.ts';

export type ReconcilePorts = {
  readonly zone: ZoneName;
  readonly home: HomeId;
  readonly instances: InstancePorts;
  readonly units: ZoneUnits;
  /** Ids that any zone of this kernel holds, those of probes included. */
  readonly known: () => ReadonlySet<InstanceId>;
  readonly report: Report;
};

const findUnit = (units: ZoneUnits, record: InstanceRecord): Unit | undefined =>
  units
    .byModule()
    .get(record.module as ModuleName)
    ?.find(({ index }) => index === record.index);

const removeOrphan = async (
  ports: ReconcilePorts,
  facts: ContainerFacts,
  reason: string,
  signal: AbortSignal,
): Promise<void> => {
  ports.report({
    kind: 'container.swept',
    severity: 'warn',
    zone: ports.zone,
    reason,
    code: 'orphaned',
    ...(facts.instance === null ? {} : { instance: facts.instance }),
    details: { container: facts.container },
  });
  await ports.instances.engine.remove(facts.container, signal);
};

const adopt = (ports: ReconcilePorts, facts: ContainerFacts, record: InstanceRecord): void => {
  const { module, instance } = record;
  const reason = 'found running with a complete record';
  ports.report({ kind: 'instance.adopted', severity: 'info', zone: ports.zone, module, instance, reason });
  findUnit(ports.units, record)?.adopt(facts, record.restarts);
};

/**
 * `places` are where a running container may be adopted; without any, whatever runs and is not held is an orphan.
 *
 * What is on disk is read BEFORE the engine is asked and before the known ids are: an instance that is being made
 * meanwhile, in this zone or the other, is then known or was not seen.
 *
 * @throws KernelError of the engine
 */
export const reconcileZone = async (
  ports: ReconcilePorts,
  places: () => readonly OpenPlace[],
  signal: AbortSignal,
): Promise<void> => {
  const { instancesDir, records: kept, engine } = ports.instances;
  const directories = await readdir(instancesDir);
  const { records, damaged } = await kept.readAll();
  const containers = await engine.list(ports.home, signal);
  const actions = planAdoption({ zone: ports.zone, containers, records, known: ports.known(), places: places() });
  for (const action of actions) {
    if (action.kind === 'adopt') adopt(ports, action.facts, action.record);
    else await removeOrphan(ports, action.facts, action.reason, signal);
  }
  // A record that was being written when the directory was read looks damaged too: its instance is known by now.
  const known = ports.known();
  for (const file of damaged) {
    const [id = ''] = basename(file).split('.');
    if (!known.has(id as InstanceId)) await rm(file, { recursive: true, force: true });
  }
  const removed = new Set(actions.flatMap((action) => (action.kind === 'remove' ? [action.facts.container] : [])));
  const present = new Set<string>(ports.known());
  for (const facts of containers)
    if (facts.instance !== null && !removed.has(facts.container)) present.add(facts.instance);
  for (const id of new Set<string>([...directories, ...records.keys()])) {
    if (present.has(id)) continue;
    await rm(join(instancesDir, id), { recursive: true, force: true });
    if (records.has(id as InstanceId)) kept.remove(id as InstanceId);
  }
};
