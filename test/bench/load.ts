/** The caller: a process of its own, so that it shares no event loop with what it measures. */
import { connect } from '../../daemon/client/connect.ts';
import { postRpc } from '../../daemon/client/post-rpc.ts';
import { connectHops } from './hops.ts';

export type Target = 'hops' | 'call' | 'post';

export type LoadOrder =
  | { readonly kind: 'sequential'; readonly target: Target; readonly count: number }
  | { readonly kind: 'pipelined'; readonly target: Target; readonly count: number; readonly inFlight: number };

/** Sequential: milliseconds of each. Pipelined: answers a second. */
export type LoadAnswer =
  | { readonly kind: 'samples'; readonly samplesMs: number[] }
  | { readonly kind: 'rate'; readonly perSecond: number }
  | { readonly kind: 'failed'; readonly message: string };

const sequential = async (act: () => Promise<unknown>, count: number): Promise<LoadAnswer> => {
  const samplesMs: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const startedMs = performance.now();
    await act();
    samplesMs.push(performance.now() - startedMs);
  }
  return { kind: 'samples', samplesMs };
};

const pipelined = async (act: () => Promise<unknown>, count: number, inFlight: number): Promise<LoadAnswer> => {
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      await act();
    }
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { kind: 'rate', perSecond: (count / (performance.now() - startedMs)) * 1000 };
};

const PARAMS = { name: 'Ada' };

/** Obeys orders of its parent until that goes. */
export const serveLoad = async (operatorSocket: string, relayPath: string, module: string): Promise<void> => {
  const params = { module, function: 'hello', params: PARAMS };
  const client = await connect({ socketPath: operatorSocket });
  // As long as the request of the call is on the wire.
  const request = JSON.stringify({ jsonrpc: '2.0', id: 1000, method: 'module.call', params });
  const hops = await connectHops(relayPath, Buffer.from(`${request}\n`));
  const acts: Readonly<Record<Target, () => Promise<unknown>>> = {
    hops: hops.roundTrip,
    call: () => client.call('module.call', params),
    post: () => postRpc(operatorSocket, 'module.call', params),
  };
  const obey = (order: LoadOrder): Promise<LoadAnswer> =>
    order.kind === 'sequential'
      ? sequential(acts[order.target], order.count)
      : pipelined(acts[order.target], order.count, order.inFlight);
  process.on('disconnect', () => process.exit(0));
  process.on('message', (order: LoadOrder) => {
    obey(order).then(
      (answer) => process.send?.(answer),
      (error: unknown) => process.send?.({ kind: 'failed', message: String(error) } satisfies LoadAnswer),
    );
  });
  process.send?.({ kind: 'ready' });
};
