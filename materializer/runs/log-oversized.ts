import type { Logger } from '../../runtime/log.ts'
import { createRepeats } from '../../runtime/repeats.ts'
import type { NotKeptListener } from '../state-writer.ts'

/**
 * Logs which entities are over their view's cap or set aside, the first few of them by name, each once a minute, and
 * counts those over the cap.
 */
export function logOversized(log: Logger, count: (view: string, entities: number) => void): NotKeptListener {
  const repeats = createRepeats()
  return (view, { entities, errors }) => {
    // how many are set aside is a gauge of its own
    if (errors[0]?.code === 'STATE_TOO_LARGE') count(view, entities)
    // every run and every push meets an entity again that it cannot keep
    for (const { code, message } of errors) if (repeats(`${view} ${message}`) !== null) log.warn({ view, code, entities }, message)
  }
}
