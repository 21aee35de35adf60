/** Greets one person; `ctx.config` holds the values that kernel.yaml gives. */
export async function hello({ name }, ctx) {
  const salutation = ctx.config?.salutation ?? 'Hello';
  return { greeting: `${salutation}, ${name}` };
}

/** Asked by the kernel at intervals; throwing here means "not able to serve". */
export async function health() {
  return { ok: true };
}
