/**
 * The closed table of error codes (DESIGN section 6: "codes from one closed table; never a stack").
 *
 * Each row names the JSON-RPC number that carries the code on the wire, whether a caller may
 * try again, and the exit status that `kernelctl` ends with.
 */
const row = (rpcCode: number, retryable: boolean, exitStatus: 1 | 2 | 3, summary: string) =>
  ({ rpcCode, retryable, exitStatus, summary }) as const;

export const ERROR_CODES = {
  // Requests
  PARSE_ERROR: row(-32700, false, 1, 'the frame is not JSON'),
  INVALID_REQUEST: row(-32600, false, 1, 'the frame is not a JSON-RPC 2.0 request'),
  METHOD_NOT_FOUND: row(-32601, false, 1, 'no such operation on this socket'),
  INVALID_PARAMS: row(-32602, false, 1, 'the parameters do not fit the operation'),
  INTERNAL: row(-32603, false, 1, 'a fault inside the kernel'),
  USAGE: row(-32000, false, 2, 'the command line is wrong'),
  DENIED: row(-32001, false, 1, 'the caller may not do this'),
  LIMIT_EXCEEDED: row(-32002, true, 1, 'a rate, size or concurrency limit was reached'),
  DEADLINE_EXCEEDED: row(-32003, true, 1, 'no answer within the time limit'),
  CANCELLED: row(-32004, false, 1, 'the caller withdrew the request'),
  NOT_FOUND: row(-32005, false, 1, 'no such thing'),
  CONFLICT: row(-32006, true, 1, 'another change is under way or stands against this one'),
  UNAVAILABLE: row(-32007, true, 1, 'not able to answer at present'),
  STOPPING: row(-32008, false, 1, 'the kernel is stopping'),
  SAFE_MODE: row(-32009, false, 1, 'not allowed in safe mode'),
  PAYLOAD_TOO_LARGE: row(-32010, false, 1, 'a frame or value is larger than its limit'),
  NO_KERNEL: row(-32011, true, 3, 'no kernel answers at that socket'),
  PROTOCOL: row(-32012, false, 1, 'the peer broke the protocol'),
  // Modules and instances
  MODULE_NOT_FOUND: row(-32020, false, 1, 'no such module'),
  FUNCTION_NOT_FOUND: row(-32021, false, 1, 'the module declares no such function'),
  MODULE_ERROR: row(-32022, false, 1, 'the function of the module threw an error'),
  RESULT_INVALID: row(-32023, false, 1, 'the result does not fit what the module declares'),
  INSTANCE_LOST: row(-32024, true, 1, 'the instance ended while it was serving the call'),
  MODULE_UNAVAILABLE: row(-32025, true, 1, 'no instance of the module is ready'),
  MODULE_QUARANTINED: row(-32026, false, 1, 'the module failed too often and is kept stopped'),
  MODULE_INVALID: row(-32027, false, 1, 'the manifest or the files of the module are not acceptable'),
  ARTIFACT_INVALID: row(-32028, false, 1, 'the artifact is damaged, unsafe or over a limit'),
  MODULE_LOAD_FAILED: row(-32029, false, 1, 'the module could not be loaded in its instance'),
  DIGEST_MISMATCH: row(-32030, false, 1, 'the content does not have the recorded digest'),
  QUOTA_EXCEEDED: row(-32031, true, 1, 'a quota of the module or zone is used up'),
  CONFIG_VALUES_INVALID: row(-32032, false, 1, 'the configuration values do not fit what the module declares'),
  // Zones
  ZONE_NOT_FOUND: row(-32040, false, 1, 'no such zone'),
  ZONE_UNAVAILABLE: row(-32041, true, 1, 'the zone is not ready'),
  ADMISSION_REFUSED: row(-32042, true, 1, 'the pool has not the resources asked for'),
  ISOLATION_INCOMPLETE: row(-32043, false, 1, 'the probe could do something that the zone must refuse'),
  // Engine
  ENGINE_UNREACHABLE: row(-32050, true, 1, 'the container engine does not answer'),
  ENGINE_UNSUITABLE: row(-32051, false, 1, 'the container engine lacks something that is needed'),
  ENGINE_FAILED: row(-32052, true, 1, 'the container engine refused or failed a request'),
  IMAGE_UNAVAILABLE: row(-32053, false, 1, 'the zone image is missing or could not be built'),
  UID_UNAVAILABLE: row(-32054, true, 1, 'no free user id in the configured range'),
  // Start and configuration
  CONFIG_INVALID: row(-32060, false, 1, 'kernel.yaml is not valid'),
  CONFIG_UNREADABLE: row(-32061, false, 1, 'kernel.yaml cannot be read'),
  HOME_LOCKED: row(-32062, false, 1, 'another kernel uses this home'),
  SOCKET_PATH_TOO_LONG: row(-32063, false, 1, 'the path of a socket is over 107 bytes'),
  SOCKET_UNAVAILABLE: row(-32064, false, 1, 'a socket cannot be opened'),
  STATE_UNUSABLE: row(-32065, false, 1, 'the state directory cannot be used'),
  BOOT_FAILED: row(-32066, false, 1, 'a component of the kernel did not start'),
  PLATFORM_UNSUPPORTED: row(-32067, false, 1, 'this system cannot run kerneld'),
  STATE_CORRUPT: row(-32068, false, 1, 'a record on disk is damaged'),
} as const;

/** A code of the closed table. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** Structured facts about an error; plain JSON values only, never secrets. */
export type ErrorContext = Readonly<Record<string, unknown>>;

export type KernelErrorOptions = {
  /** What led here; kept for the log, never sent over a wire. */
  readonly cause?: unknown;
  /** Facts that may be shown to the caller. */
  readonly context?: ErrorContext;
  /** When trying again makes sense, in milliseconds from now. */
  readonly retryAfterMs?: number;
  /** What the reader can do about it, one sentence. */
  readonly remedy?: string;
};

/** What crosses a wire in the place of an error: no stack, no cause. */
export type ErrorBody = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly details?: ErrorContext;
};

/** The one error type that kerneld throws on purpose. */
export class KernelError extends Error {
  readonly code: ErrorCode;
  readonly context: ErrorContext;
  readonly retryAfterMs: number | undefined;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: KernelErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KernelError';
    this.code = code;
    this.context = options.context ?? {};
    this.retryAfterMs = options.retryAfterMs;
    this.remedy = options.remedy;
  }

  /** The exit status `kernelctl` ends with for this code. */
  get exitStatus(): 1 | 2 | 3 {
    return ERROR_CODES[this.code].exitStatus;
  }

  /** The form that may cross a wire. */
  toBody(): ErrorBody {
    const details = { ...this.context, ...(this.remedy === undefined ? {} : { remedy: this.remedy }) };
    return {
      code: this.code,
      message: this.message,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      ...(Object.keys(details).length === 0 ? {} : { details }),
    };
  }
}

/** Tells whether a string is a code of the closed table. */
export const isErrorCode = (value: unknown): value is ErrorCode =>
  typeof value === 'string' && Object.hasOwn(ERROR_CODES, value);

/**
 * Makes a KernelError of anything that was thrown.
 *
 * A foreign error becomes `INTERNAL` (or the code given) and keeps itself as cause, so that the log
 * has its stack while a caller over a wire sees only the message.
 */
export const toKernelError = (thrown: unknown, code: ErrorCode = 'INTERNAL'): KernelError => {
  if (thrown instanceof KernelError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new KernelError(code, message, { cause: thrown });
};

/** Rebuilds an error from its wire form; an unknown code, as from a newer peer, becomes `INTERNAL`. */
export const fromErrorBody = (body: {
  code: string;
  message: string;
  retryAfterMs?: number | undefined;
  details?: Record<string, unknown> | undefined;
}): KernelError => {
  const code = isErrorCode(body.code) ? body.code : 'INTERNAL';
  const remedy = body.details?.['remedy'];
  return new KernelError(code, body.message, {
    ...(body.retryAfterMs === undefined ? {} : { retryAfterMs: body.retryAfterMs }),
    ...(body.details === undefined ? {} : { context: body.details }),
    ...(typeof remedy === 'string' ? { remedy } : {}),
  });
};
