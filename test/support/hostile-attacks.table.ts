/** Attacks of the hostile agent. It learns which one is meant from the size of its /tmp: the index here and one, in MiB. */
export const ATTACKS = [
  'connect-flood',
  'slow-handshake',
  'no-hello',
  'other-protocol',
  'other-instance',
  'claims-a-module',
  'second-hello',
  'frame-flood',
  'request-flood',
  'ping-flood',
  'fragment-flood',
  'reply-flood',
  'output-flood',
  'huge-frame',
  'deep-nesting',
  'malformed',
  'binary-frame',
  'half-frame',
  'answers-nothing',
  'lies-about-digest',
  'huge-result',
  'stops-reading',
] as const;
export type Attack = (typeof ATTACKS)[number];
export const tmpMiBOf = (attack: Attack): number => ATTACKS.indexOf(attack) + 1;
