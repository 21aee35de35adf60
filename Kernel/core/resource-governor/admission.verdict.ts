/**
 * Admission of one more instance to a zone: no silent overcommit of memory, and of cpu none beyond what the
 * operator declared (DESIGN section 11). Instances that are being killed no longer count: their replacement
 * must not wait for the engine's book-keeping.
 */
export type ZoneCapacity = { readonly memoryBytes: number; readonly maxInstances: number };
export type Claim = { readonly memoryBytes: number };

export type AdmissionVerdict =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly reason: string; readonly freeBytes: number; readonly askedBytes: number };

/** Decides whether an instance with this claim fits beside those that hold the others. */
export const decideAdmission = (capacity: ZoneCapacity, held: readonly Claim[], asked: Claim): AdmissionVerdict => {
  const usedBytes = held.reduce((sum, claim) => sum + claim.memoryBytes, 0);
  const freeBytes = capacity.memoryBytes - usedBytes;
  const refuse = (reason: string): AdmissionVerdict => ({
    admitted: false,
    reason,
    freeBytes,
    askedBytes: asked.memoryBytes,
  });
  if (held.length >= capacity.maxInstances)
    return refuse(`the zone has ${held.length} of ${capacity.maxInstances} instances`);
  if (asked.memoryBytes > freeBytes) {
    return refuse(
      `asked for ${asked.memoryBytes} bytes of memory, ${Math.max(0, freeBytes)} of ${capacity.memoryBytes} are free`,
    );
  }
  return { admitted: true };
};
