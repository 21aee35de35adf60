/** The settings that hold for instances of every zone, and for their restarts. */
import { section } from './section.table.ts';
import { duration, integer, number } from './setting-kinds.table.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const instancesSection = section('What holds for instances of every zone.', {
  uidRange: section('User ids for instances, both ends included. Each instance has its own; no account may use them.', {
    first: integer({
      default: 210_000,
      min: 1000,
      max: 4_294_967_293,
      effect: 'instances',
      describe: 'First user id.',
    }),
    last: integer({
      default: 210_999,
      min: 1000,
      max: 4_294_967_293,
      effect: 'instances',
      describe: 'Last user id.',
    }),
  }),
  startTimeout: duration({
    default: '15s',
    min: 100,
    max: 10 * MINUTE,
    effect: 'live',
    describe: 'From the start of a container until its agent has connected.',
  }),
  assignTimeout: duration({
    default: '15s',
    min: 100,
    max: 10 * MINUTE,
    effect: 'live',
    describe: 'From sending a module until it is ready.',
  }),
  callTimeout: duration({
    default: '30s',
    min: 1,
    max: DAY,
    effect: 'live',
    describe: 'For a call whose function declares no timeout.',
  }),
  drainTimeout: duration({
    default: '10s',
    min: 0,
    max: HOUR,
    effect: 'live',
    describe: 'For calls in flight when an instance is stopped.',
  }),
  orphanTimeout: duration({
    default: '10m',
    min: 5 * SECOND,
    max: 30 * DAY,
    effect: 'instances',
    describe: 'An instance without a kernel for this long ends itself.',
  }),
  reconnectTimeout: duration({
    default: '5s',
    min: 100,
    max: 10 * MINUTE,
    effect: 'live',
    describe: 'A lost connection of an instance may take this long to come back.',
  }),
  heartbeat: section('How the kernel notices that an instance no longer answers.', {
    interval: duration({
      default: '2s',
      min: 50,
      max: 10 * MINUTE,
      effect: 'live',
      describe: 'Time between two pings.',
    }),
    limit: duration({
      default: '10s',
      min: 100,
      max: HOUR,
      effect: 'live',
      describe: 'Unanswered for this long: the instance is replaced.',
    }),
  }),
});

export const restartSection = section('When a failed instance is started again, and when its module is quarantined.', {
  backoff: section('The delay before each restart.', {
    initial: duration({
      default: '100ms',
      min: 1,
      max: HOUR,
      effect: 'live',
      describe: 'Delay before the first restart.',
    }),
    max: duration({ default: '30s', min: 1, max: DAY, effect: 'live', describe: 'Longest delay.' }),
    factor: number({
      default: 2,
      min: 1,
      max: 100,
      effect: 'live',
      describe: 'Each delay is the last one times this.',
    }),
    jitter: number({
      default: 0.2,
      min: 0,
      max: 1,
      effect: 'live',
      describe: 'The part of each delay that is random.',
    }),
  }),
  stableAfter: duration({
    default: '30s',
    min: 1,
    max: DAY,
    effect: 'live',
    describe: 'Ready for this long: the delay starts afresh.',
  }),
  intensity: section('More restarts than these within the window: the module is quarantined.', {
    restarts: integer({
      default: 10,
      min: 0,
      max: 10_000,
      effect: 'live',
      describe: 'Restarts allowed within the window.',
    }),
    window: duration({
      default: '5m',
      min: SECOND,
      max: 30 * DAY,
      effect: 'live',
      describe: 'Length of the window.',
    }),
  }),
});
