/**
 * The shape of every state machine here (DESIGN section 1, idea 1): a pure total function, and one small
 * actor that feeds it. Decisions are made in `step`; the actor only keeps order.
 */

/** What a step decides: the next state, effects as data in the order they must run, and why. */
export type Decision<State, Effect> = {
  readonly state: State;
  readonly effects: readonly Effect[];
  /** Told in events and shown by `inspect`; `ignored: …` when the pair changes nothing on purpose. */
  readonly reason: string;
};

/** A pure, total transition function; `nowMs` is monotonic. */
export type Step<State, Event, Effect> = (state: State, event: Event, nowMs: number) => Decision<State, Effect>;

export type Transition<State, Event> = {
  readonly before: State;
  readonly after: State;
  readonly event: Event;
  readonly reason: string;
};

export type Actor<State, Event> = {
  readonly state: () => State;
  /** Runs the step now, or after the step that is running: never inside another step. */
  readonly send: (event: Event) => void;
};

/**
 * Runs a machine. Events are handled one at a time in the order of arrival; an event that an effect
 * sends while it is being executed waits for the present one, so a step never sees a half-made state.
 *
 * `execute` must not throw: an effect that fails reports so with an event.
 */
export const createActor = <State, Event, Effect>(options: {
  readonly initial: State;
  readonly step: Step<State, Event, Effect>;
  readonly nowMs: () => number;
  readonly execute: (effect: Effect, state: State) => void;
  readonly onTransition?: (transition: Transition<State, Event>) => void;
}): Actor<State, Event> => {
  const { step, nowMs, execute, onTransition } = options;
  const mailbox: Event[] = [];
  let state = options.initial;
  let busy = false;

  const handle = (event: Event): void => {
    const before = state;
    const decision = step(state, event, nowMs());
    state = decision.state;
    onTransition?.({ before, after: state, event, reason: decision.reason });
    for (const effect of decision.effects) execute(effect, state);
  };

  return {
    state: () => state,
    send: (event) => {
      mailbox.push(event);
      if (busy) return;
      busy = true;
      try {
        for (let next = mailbox.shift(); next !== undefined; next = mailbox.shift()) handle(next);
      } finally {
        busy = false;
      }
    },
  };
};
