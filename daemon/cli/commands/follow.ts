import { renderEvent, renderLogLine } from '../render/lines.ts';
import { presentStream, type Run } from '../session.ts';

export type FollowOptions = { readonly follow: boolean; readonly limit: number };

export const events =
  (options: FollowOptions): Run =>
  (session) =>
    presentStream(session, 'event.follow', options, (event) => renderEvent(event, session.style));

export const logs =
  (module: string, options: FollowOptions): Run =>
  (session) => {
    const width = session.io.terminal.stdout ? session.style.width : null;
    return presentStream(session, 'module.logs', { module, ...options }, (line) =>
      renderLogLine(line, session.style, width),
    );
  };
