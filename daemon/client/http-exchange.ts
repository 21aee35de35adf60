/**
 * One HTTP request over a Unix socket, by hand on `node:net`: loading and warming `node:http` takes 50 ms, more than
 * all else that `kernelctl` does (measured: 80 ms against 28 ms for one request in a fresh process). HTTP/1.0 keeps it
 * small: a server may then neither chunk its answer (RFC 9112 section 6.1) nor keep the connection.
 */
import { connect } from 'node:net';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import { MAX_REPLY_BYTES } from './reply.ts';

export type HttpAnswer = { readonly status: number; readonly body: string };

type Head = { readonly status: number; readonly bodyStart: number; readonly bodyBytes: number | null };

const MAX_HEAD_BYTES = 16 * 1024;

/** @throws errors of the socket, KernelError `CANCELLED`, `PROTOCOL`, `PAYLOAD_TOO_LARGE`, `UNAVAILABLE` */
export const postJson = (socketPath: string, path: string, json: string, signal: AbortSignal): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) throw new KernelError('CANCELLED', 'the request was withdrawn');
    const parts: Buffer[] = [];
    let bytes = 0;
    let head: Head | null = null;
    const socket = connect({ path: socketPath });

    const settle = (finish: () => void) => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      finish();
    };
    const fail = (error: Error) => settle(() => reject(error));
    const onAbort = () => fail(new KernelError('CANCELLED', 'the request was withdrawn'));
    const take = (part: Buffer) => {
      parts.push(part);
      bytes += part.byteLength;
      if (head === null) {
        head = readHead(Buffer.concat(parts));
        if (head === null && bytes > MAX_HEAD_BYTES) throw notHttp();
      }
      if (bytes > MAX_REPLY_BYTES + MAX_HEAD_BYTES) {
        throw new KernelError('PAYLOAD_TOO_LARGE', `the reply is over ${MAX_REPLY_BYTES} bytes`);
      }
      if (head !== null && head.bodyBytes !== null && bytes >= head.bodyStart + head.bodyBytes) complete(head);
    };
    const complete = ({ status, bodyStart, bodyBytes }: Head) => {
      const whole = Buffer.concat(parts);
      settle(() =>
        resolve({
          status,
          body: whole.toString('utf8', bodyStart, bodyBytes === null ? whole.length : bodyStart + bodyBytes),
        }),
      );
    };

    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', fail);
    socket.on('data', (part: Buffer) => {
      try {
        take(part);
      } catch (error) {
        fail(toKernelError(error));
      }
    });
    // Without a length the end of the connection is the end of the body; with one, it came too early.
    socket.on('end', () => (head !== null && head.bodyBytes === null ? complete(head) : fail(cutShort(bytes))));
    socket.write(
      `POST ${path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
    );
  });

const readHead = (received: Buffer): Head | null => {
  const end = received.indexOf('\r\n\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(received.toString('latin1', 0, 12))?.[1];
  if (status === undefined && received.byteLength >= 12) throw notHttp();
  if (end < 0 || status === undefined) return null;
  const headers = received.toString('latin1', 0, end + 2);
  if (/\r\ntransfer-encoding:/i.test(headers)) throw notHttp();
  const length = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n/i.exec(headers)?.[1];
  return { status: Number(status), bodyStart: end + 4, bodyBytes: length === undefined ? null : Number(length) };
};

const notHttp = (): KernelError =>
  new KernelError('PROTOCOL', 'what answers at the socket does not speak HTTP', {
    remedy: 'Check that --socket names the operator socket of a kernel.',
  });

const cutShort = (bytes: number): KernelError =>
  new KernelError('UNAVAILABLE', 'the kernel closed the connection before it answered', {
    context: { receivedBytes: bytes },
  });
