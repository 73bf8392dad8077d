import type { Logger } from '../runtime/log.ts'
import type { NotKeptListener } from './state-writer.ts'

/**
 * Logs which entities are over their view's cap or set aside, the first few of them by name, and counts those over the
 * cap.
 */
export function logOversized(log: Logger, count: (view: string, entities: number) => void): NotKeptListener {
  return (view, { entities, errors }) => {
    // how many are set aside is a gauge of its own
    if (errors[0]?.code === 'STATE_TOO_LARGE') count(view, entities)
    for (const { code, message } of errors) log.warn({ view, code, entities }, message)
  }
}
