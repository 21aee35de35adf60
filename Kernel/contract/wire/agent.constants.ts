/**
 * The numbers and names of the agent protocol, apart from its schemas: the agent is bundled into every
 * zone image, and a schema library in it would cost each instance megabytes and start time for checking
 * what the kernel, whom the agent trusts, has said.
 */

/** Raised when the two sides no longer understand each other. */
export const AGENT_PROTOCOL = 1;
/** Where the instance finds the kernel. */
export const AGENT_SOCKET = '/run/kerneld/agent.sock';
/** Name of the socket file inside the directory of an instance. */
export const AGENT_SOCKET_FILE = 'agent.sock';
/** Bytes of file content in one `assign.chunk`. */
export const CHUNK_BYTES = 256 * 1024;
/** Credit for output that a connection starts with, in bytes. */
export const INITIAL_OUTPUT_CREDIT_BYTES = 64 * 1024;
/** What the agent keeps of output while it may not send: the newest bytes. */
export const OUTPUT_RING_BYTES = 256 * 1024;
/** A line of output is cut after this many bytes. */
export const OUTPUT_LINE_BYTES = 8 * 1024;
/** What a line costs in credit beyond its text: empty lines must not be free, or they are a flood of frames. */
export const OUTPUT_LINE_COST_BYTES = 128;
/** Beyond its credit a connection may once send this much: the last words of a dying module. */
export const OUTPUT_RESERVE_BYTES = 32 * 1024;
/** Bytes of an error message that cross the wire. */
export const ERROR_MESSAGE_BYTES = 4 * 1024;

/** The agent ended because the module failed: rejected `start`, uncaught error or rejection (EX_SOFTWARE). */
export const EXIT_MODULE_FAILED = 70;
/** The agent ended because no kernel came for `orphanTimeout`; not a crash (EX_TEMPFAIL). */
export const EXIT_ORPHANED = 75;

export const TOPIC_PATTERN = /^[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?$/;

/** Cancels the request with this id; sent as a notification. */
export const CANCEL_METHOD = '$/cancel';

/** The longest delay a timer takes (Node fires longer ones at once). */
export const TIMER_MAX_MS = 2 ** 31 - 1;

/** What a line of output costs in credit. */
export const outputCostBytes = (textBytes: number): number => textBytes + OUTPUT_LINE_COST_BYTES;

/**
 * What a request or notification counts as, in frames: it is checked, carried out and perhaps answered, ten times the
 * work of a frame that is dropped. At one frame each, requests alone could fill a core within the budget.
 */
export const REQUEST_FRAMES = 10;
