/** Which topics a module may use: what its manifest declares, exactly or up to a `*` at the end. */
import { TOPIC_PATTERN } from '../../Kernel/contract/wire/agent.constants.ts';

export type TopicVerdict =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly code: 'INVALID_PARAMS' | 'DENIED'; readonly reason: string };

/** True when `pattern` names `topic`: the same text, or a prefix of it followed by `*`. */
export const matchesTopic = (pattern: string, topic: string): boolean =>
  pattern.endsWith('*') ? topic.startsWith(pattern.slice(0, -1)) : pattern === topic;

/** Judges the use of a topic. Nothing declared means nothing allowed. */
export const judgeTopic = (
  topic: string,
  patterns: readonly string[],
  maxTopicBytes: number,
  use: 'publish' | 'subscribe',
): TopicVerdict => {
  // The pattern admits ASCII only, so characters are bytes.
  if (!TOPIC_PATTERN.test(topic))
    return { allowed: false, code: 'INVALID_PARAMS', reason: 'the topic is not well formed' };
  if (topic.length > maxTopicBytes) {
    return { allowed: false, code: 'INVALID_PARAMS', reason: `the topic is longer than ${maxTopicBytes} bytes` };
  }
  if (!patterns.some((pattern) => matchesTopic(pattern, topic))) {
    return { allowed: false, code: 'DENIED', reason: `the module does not declare bus.${use} for ${topic}` };
  }
  return { allowed: true };
};
