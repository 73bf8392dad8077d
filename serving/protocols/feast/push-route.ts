import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import type { SourceSpec, ViewSpec } from '../../../kernel/specs/view-spec.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from '../http/call.ts'
import { jsonWithoutId } from '../http/call.ts'
import { maxEvents } from '../http/data/events-route.ts'
import { withEventIds } from '../http/request/idempotent.ts'

type DataFrame = Readonly<Record<string, readonly unknown[]>>

const dataFrame = z.record(z.string(), z.array(z.unknown()).max(maxEvents))
const flags = {
  allow_registry_cache: z.boolean().default(true).describe('Accepted, without effect'),
  transform_on_write: z.boolean().default(true).describe('Accepted, without effect'),
}

export const pushSchema = z.object({
  push_source_name: z.string().describe('The source'),
  df: dataFrame.describe('By column of the source: a value for each row. All columns have the same length'),
  to: z.enum(['online', 'offline', 'online_and_offline']).default('online').describe('Where the rows go'),
  ...flags,
})

export const writeOnlineSchema = z.object({
  feature_view_name: z.string().describe('The feature view'),
  df: dataFrame.describe('By key and feature of the view: a value for each row. All columns have the same length'),
  ...flags,
})

const targets = { online: 'online', offline: 'offline', online_and_offline: 'both' } as const
/** The column that Feast's clients add to rows of any source. */
const feastTime = 'event_timestamp'
const feastCreated = new Set(['created', 'created_timestamp'])

/** `POST /push`: the columns of a data frame as events of a source. */
export async function answerPush(
  call: Call,
  deps: ServingContext,
  { push_source_name: name, df, to }: z.output<typeof pushSchema>,
): Promise<RouteAnswer> {
  return await push(call, deps, deps.catalog().pushSource(name), df, targets[to])
}

/** `POST /write-to-online-store`: rows of a feature view, as events of its source. */
export async function answerWriteOnline(
  call: Call,
  deps: ServingContext,
  { feature_view_name: name, df }: z.output<typeof writeOnlineSchema>,
): Promise<RouteAnswer> {
  const { spec } = deps.catalog().view(name)
  const source = deps.catalog().pushSource(spec.source.name)
  return await push(call, deps, source, df, 'online', columnsOf(spec, source, df))
}

async function push(
  call: Call,
  deps: ServingContext,
  source: SourceSpec,
  df: DataFrame,
  to: (typeof targets)[keyof typeof targets],
  columns?: ReadonlyMap<string, string>,
): Promise<RouteAnswer> {
  const { accepted, duplicates } = await deps.intake.push(source, withEventIds(call, eventsOf(source, df, columns)), {
    to,
    receivedAt: deps.clock(),
    span: call.span,
  })
  deps.metrics.push.pushed(source.name, accepted, duplicates)
  return jsonWithoutId(null)
}

/**
 * By key and feature of a view, the source's column.
 *
 * @throws LockstepError `INVALID_EVENT` where a feature is not the latest value of such a column
 */
function columnsOf(view: ViewSpec, source: SourceSpec, df: DataFrame): ReadonlyMap<string, string> {
  const columns = new Map(source.key.map(({ part, column }) => [part, column]))
  for (const feature of view.features) {
    const { name, column } = feature
    if (feature.kind === 'latest' && source.columns.some((each) => each.name === column)) columns.set(name, feature.column)
    else if (Object.hasOwn(df, name)) {
      throw new LockstepError(
        'INVALID_EVENT',
        `The feature "${name}" of view "${view.name}" is computed, so it cannot be written. Push the rows that it is computed from to the source "${source.name}".`,
        { details: { feature: name } },
      )
    }
  }
  return columns
}

/** @param renamed the source's columns of those that the data frame names otherwise */
function eventsOf(source: SourceSpec, df: DataFrame, renamed: ReadonlyMap<string, string> = new Map()): Record<string, unknown>[] {
  const known = new Set([
    source.eventTime,
    ...source.key.map(({ column }) => column),
    ...source.columns.map((column) => column.name),
    ...(source.known === null ? [] : [source.known]),
  ])
  const columnOf = (name: string): string => renamed.get(name) ?? (name === feastTime && !known.has(name) ? source.eventTime : name)
  const sent = Object.entries(df).filter(([name]) => renamed.has(name) || known.has(name) || !feastCreated.has(name))
  const names = new Map<string, string>()
  for (const [name] of sent) {
    const column = columnOf(name)
    const other = names.get(column)
    if (other !== undefined) {
      throw new LockstepError(
        'INVALID_EVENT',
        `The data frame has "${other}" and "${name}", which are both the column "${column}" of the source "${source.name}". Send one of them.`,
        { details: { column } },
      )
    }
    names.set(column, name)
  }
  const columns = sent.map(([name, values]) => [columnOf(name), values] as const)
  const length = columns[0]?.[1].length ?? 0
  const uneven = columns.find(([, values]) => values.length !== length)
  if (length === 0 || uneven !== undefined) {
    const why =
      uneven === undefined ? 'has no rows' : `has ${uneven[1].length} values in "${uneven[0]}", but ${length} in "${columns[0]?.[0]}"`
    throw new LockstepError('INVALID_EVENT', `The data frame ${why}; send a list of the same length for each column.`)
  }
  return Array.from({ length }, (_, i) => Object.fromEntries(columns.map(([name, values]) => [name, values[i]])))
}
