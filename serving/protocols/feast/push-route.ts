import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import type { SourceSpec } from '../../../kernel/view-spec.ts'
import { readBody } from '../http/request/body.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from '../http/call.ts'
import { jsonAnswer } from '../http/call.ts'
import { maxEvents } from '../http/data/events-route.ts'
import { withEventIds } from '../http/request/idempotent.ts'

export const pushSchema = z.object({
  push_source_name: z.string().describe('The source'),
  df: z
    .record(z.string(), z.array(z.unknown()).max(maxEvents))
    .describe('By column of the source: a value for each row. All columns have the same length'),
  to: z.enum(['online', 'offline', 'online_and_offline']).default('online').describe('Where the rows go'),
  allow_registry_cache: z.boolean().default(true).describe('Accepted, without effect'),
  transform_on_write: z.boolean().default(true).describe('Accepted, without effect'),
})

const targets = { online: 'online', offline: 'offline', online_and_offline: 'both' } as const
/** What Feast's clients add to rows of any source. */
const feastTime = 'event_timestamp'
const feastCreated = new Set(['created', 'created_timestamp'])

/** `POST /push`: the columns of a data frame as events of a source. */
export async function answerPush(call: Call, deps: ServingContext): Promise<RouteAnswer> {
  const { push_source_name: name, df, to } = await readBody(call, deps.bodyLimitBytes, pushSchema)
  const source = deps.catalog().pushSource(name)
  const { accepted, duplicates } = await deps.intake.push(source, withEventIds(call, eventsOf(source, df)), {
    to: targets[to],
    receivedAt: deps.clock(),
    span: call.span,
  })
  deps.metrics.push.pushed(name, accepted, duplicates)
  return jsonAnswer(null)
}

function eventsOf(source: SourceSpec, df: Readonly<Record<string, readonly unknown[]>>): Record<string, unknown>[] {
  const known = new Set([
    source.eventTime,
    ...source.key.map(({ column }) => column),
    ...source.columns.map((column) => column.name),
    ...(source.known === null ? [] : [source.known]),
  ])
  const columns = Object.entries(df)
    .filter(([name]) => known.has(name) || !feastCreated.has(name))
    .map(([name, values]) => [name === feastTime && !known.has(name) ? source.eventTime : name, values] as const)
  const length = columns[0]?.[1].length ?? 0
  const uneven = columns.find(([, values]) => values.length !== length)
  if (length === 0 || uneven !== undefined) {
    const why =
      uneven === undefined ? 'has no rows' : `has ${uneven[1].length} values in "${uneven[0]}", but ${length} in "${columns[0]?.[0]}"`
    throw new LockstepError('INVALID_EVENT', `The data frame ${why}; send a list of the same length for each column.`)
  }
  return Array.from({ length }, (_, i) => Object.fromEntries(columns.map(([name, values]) => [name, values[i]])))
}
