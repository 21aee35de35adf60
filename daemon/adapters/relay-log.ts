/** A log for parts that are made before the log in force is. */
import type { Log } from '../../Kernel/contract/ports.ts';

/** A log that writes to the log in force: to standard output until the log component is up. */
export const createRelayLog = (current: () => Log): Log => {
  const relay = (fields: Record<string, unknown>): Log => ({
    debug: (message, more) => current().debug(message, { ...fields, ...more }),
    info: (message, more) => current().info(message, { ...fields, ...more }),
    warn: (message, more) => current().warn(message, { ...fields, ...more }),
    error: (message, more) => current().error(message, { ...fields, ...more }),
    critical: (message, more) => current().critical(message, { ...fields, ...more }),
    child: (more) => relay({ ...fields, ...more }),
  });
  return relay({});
};
