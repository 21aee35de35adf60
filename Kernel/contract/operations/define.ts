/**
 * An operation is declared once, as pure data (DESIGN section 2, idea 2). Handlers live apart, so that the
 * command line can import the declarations without the engine.
 */
import type { z } from 'zod';

/** Which door a caller came through. */
export type SocketKind = 'operator' | 'federation';
export type Risk = 'low' | 'medium' | 'high';

export type OperationDeclaration<P extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> = {
  readonly summary: string;
  /** `query` changes nothing; `command` may change something; `stream` sends items of `result` until it ends. */
  readonly kind: 'query' | 'command' | 'stream';
  readonly params: P;
  readonly result: R;
  /** What a policy grants, as `zone:restart`. */
  readonly action: string;
  /** What it is done to; names the parameter that holds the id. */
  readonly resource: { readonly type: 'kernel' | 'zone' | 'module'; readonly param?: string };
  readonly risk: Risk;
  readonly sockets: readonly SocketKind[];
  /** Allowed in safe mode (DESIGN section 13). */
  readonly safeMode: boolean;
  readonly idempotent: boolean;
  /** Time limit when the caller names none; 0 for streams that last until cancelled. */
  readonly timeoutMs: number;
};

/** Declares an operation; exists for inference only: shapes and kind keep their exact types. */
export const operation = <P extends z.ZodType, R extends z.ZodType, K extends OperationDeclaration['kind']>(
  declaration: OperationDeclaration<P, R> & { readonly kind: K },
): OperationDeclaration<P, R> & { readonly kind: K } => declaration;
