/** The settings of what flows: sockets, user bus, logs. */
import { section } from './section.table.ts';
import { bytesPerSecond, choice, integer, size } from './setting-kinds.table.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export const wireSection = section('Limits of the sockets.', {
  agent: section('The connection of each instance; what it sends is hostile input.', {
    maxFrame: size({
      default: '4MiB',
      min: 512 * KIB,
      max: 64 * MIB,
      effect: 'instances',
      describe: 'Largest message.',
    }),
    maxDepth: integer({
      default: 64,
      min: 8,
      max: 512,
      effect: 'instances',
      describe: 'Deepest nesting of a message.',
    }),
    framesPerSecond: integer({
      default: 50_000,
      min: 100,
      max: 10_000_000,
      effect: 'instances',
      describe: 'Messages a second; over it the socket is paused.',
    }),
    bytesPerSecond: bytesPerSecond({
      default: '64MiB',
      min: 64 * KIB,
      max: 16 * GIB,
      effect: 'instances',
      describe: 'Bytes a second; over it the socket is paused.',
    }),
    maxInFlight: integer({
      default: 1024,
      min: 1,
      max: 100_000,
      effect: 'instances',
      describe: 'Requests that wait for an answer, in each direction.',
    }),
  }),
  operator: section('The operator socket.', {
    maxFrame: size({
      default: '16MiB',
      min: 2 * MIB,
      max: 64 * MIB,
      effect: 'restart',
      describe: 'Largest message.',
    }),
    maxConnections: integer({
      default: 64,
      min: 2,
      max: 10_000,
      effect: 'restart',
      describe: 'Connections at one time.',
    }),
    maxInFlight: integer({
      default: 1024,
      min: 1,
      max: 100_000,
      effect: 'restart',
      describe: 'Requests of one connection that wait for an answer.',
    }),
  }),
});

export const busSection = section('The user bus of each zone; the quotas hold for each module.', {
  maxTopic: size({ default: '128B', min: 1, max: 128, effect: 'live', describe: 'Longest name of a topic.' }),
  maxPayload: size({ default: '64KiB', min: 1, max: 16 * MIB, effect: 'live', describe: 'Largest message.' }),
  messagesPerSecond: integer({
    default: 1000,
    min: 1,
    max: 1_000_000,
    effect: 'live',
    describe: 'Messages a module may publish a second.',
  }),
  maxSubscriptions: integer({
    default: 64,
    min: 1,
    max: 10_000,
    effect: 'live',
    describe: 'Topics a module may listen to.',
  }),
  queueLength: integer({
    default: 1000,
    min: 1,
    max: 100_000,
    effect: 'live',
    describe: 'Messages that may wait for one subscriber; the oldest is dropped first.',
  }),
});

export const logsSection = section('The log of the kernel and the output of modules.', {
  level: choice({
    default: 'info',
    values: ['debug', 'info', 'warn', 'error'],
    effect: 'live',
    describe: 'The least that gets into the log of the kernel.',
  }),
  module: section('What modules print.', {
    maxFile: size({
      default: '8MiB',
      min: 64 * KIB,
      max: 16 * GIB,
      effect: 'live',
      describe: 'A file of output is rotated at this size.',
    }),
    files: integer({
      default: 4,
      min: 1,
      max: 1000,
      effect: 'live',
      describe: 'Files kept for each module, the newest included.',
    }),
    bytesPerSecond: bytesPerSecond({
      default: '256KiB',
      min: KIB,
      max: GIB,
      effect: 'live',
      describe: 'Output taken from each module a second; the rest waits, then is dropped and counted.',
    }),
  }),
});
