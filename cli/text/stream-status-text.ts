import { maxDeadLetters } from '../../materializer/streams/dead-letters.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import type { StatusAnswer } from '../../serving/protocols/http/health/status-route.ts'
import { ago, count } from './human.ts'

type StreamStatus = StatusAnswer['streams'][number]

/** The part of `status` about streams, as a table. */
export const streamHeader: readonly string[] = ['STREAM OF', 'IS', 'GROUP', 'WAITING', 'PENDING', 'DEAD LETTERS', 'NEWEST']

export function streamRow({ source, spec, lag, deadLetters }: StreamStatus, nowMs: number): string[] {
  const known = (messages: number | undefined): string => (messages === undefined ? 'unknown' : count(messages))
  const dead =
    deadLetters === null
      ? ['0', '']
      : [
          `${count(deadLetters.count)}${deadLetters.count < maxDeadLetters ? '' : ' or more'}`,
          `${ago(nowMs - Date.parse(deadLetters.lastAt))}: ${deadLetters.lastError}`,
        ]
  return [source, streamName(spec), spec.group, known(lag?.waiting), known(lag?.pending), ...dead]
}

export function streamProblems(statuses: readonly StreamStatus[]): string[] {
  return statuses.flatMap(({ source, problem }) =>
    problem === null ? [] : [`The lag of the stream of source "${source}" is unknown: ${problem}`],
  )
}
