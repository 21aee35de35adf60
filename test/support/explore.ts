/** Walks every state that a machine can reach, by every event that could come in it. */

export type Exploration<State, Event> = {
  readonly states: readonly State[];
  readonly transitions: readonly {
    readonly before: State;
    readonly event: Event;
    readonly after: State;
    readonly effects: readonly unknown[];
    readonly reason: string;
  }[];
};

/**
 * Breadth first from the initial states. `key` makes two states the same (time and counters left out, so that the
 * space is finite); more than `limit` states end the walk with an error, since a walk that stops early proves nothing.
 */
export const explore = <State, Event>(options: {
  readonly initial: readonly State[];
  readonly eventsIn: (state: State) => readonly Event[];
  readonly step: (
    state: State,
    event: Event,
  ) => { readonly state: State; readonly effects: readonly unknown[]; readonly reason: string };
  readonly key?: (state: State) => string;
  readonly limit?: number;
}): Exploration<State, Event> => {
  const key = options.key ?? ((state: State) => JSON.stringify(state));
  const limit = options.limit ?? 100_000;
  const seen = new Map<string, State>(options.initial.map((state) => [key(state), state]));
  const queue = [...options.initial];
  const transitions: { before: State; event: Event; after: State; effects: readonly unknown[]; reason: string }[] = [];
  for (let before = queue.shift(); before !== undefined; before = queue.shift()) {
    for (const event of options.eventsIn(before)) {
      const decision = options.step(before, event);
      transitions.push({ before, event, after: decision.state, effects: decision.effects, reason: decision.reason });
      const name = key(decision.state);
      if (seen.has(name)) continue;
      seen.set(name, decision.state);
      if (seen.size > limit) throw new Error(`more than ${limit} states`);
      queue.push(decision.state);
    }
  }
  return { states: [...seen.values()], transitions };
};
