/** What an error of the WebSocket layer means: a breach by the peer, or just a broken connection. */
import { KernelError } from '../../Kernel/contract/errors.ts';

const codeOf = (error: Error): string => ('code' in error && typeof error.code === 'string' ? error.code : '');

/** The violation, or `undefined` when the connection broke for reasons that are nobody's breach. */
export const violationOf = (error: Error, maxFrameBytes: number): KernelError | undefined => {
  const code = codeOf(error);
  switch (code) {
    case 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH':
    case 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH':
      return new KernelError('PAYLOAD_TOO_LARGE', `a frame is larger than ${maxFrameBytes} bytes`, { cause: error });
    case 'WS_ERR_TOO_MANY_BUFFERED_PARTS':
    case 'WS_ERR_TOO_MANY_PENDING_AUTO_PONGS':
      return new KernelError('LIMIT_EXCEEDED', 'a frame came in too many parts', { cause: error });
    default:
      return code.startsWith('WS_ERR_') ? new KernelError('PROTOCOL', error.message, { cause: error }) : undefined;
  }
};
