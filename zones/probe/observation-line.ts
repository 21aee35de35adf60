/** Apart from the schema, so that the probe's bundle does not carry zod. */

/** Begins the line, so that a warning of Node before it does no harm. */
export const OBSERVATION_PREFIX = 'kerneld-probe:';
