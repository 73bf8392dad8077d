import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { requestUnit } from '../../registry/rollouts/rollout.ts'
import type { GateContext } from './gates/gate.ts'

/** How many rows of the log are read of each side. */
const maxRows = 20_000

type LogContext = Pick<GateContext, 'db' | 'rollout' | 'champion' | 'from' | 'now'> & {
  readonly counts: Pick<GateContext['counts'], 'championIn'>
}

/**
 * The rows of the candidate since the evidence began, and those of the champion that they are compared with: of an
 * earlier time if the candidate has all requests. `$1` to `$7` are `valuesOf`.
 */
const sideOf = `CASE WHEN role = 'canary' AND version = $4 THEN 'candidate' ELSE 'champion' END`
const isOfSides = `model = $1 AND experiment IS NULL
  AND at >= least(to_timestamp($2), to_timestamp($6)) AND at < greatest(to_timestamp($3), to_timestamp($7))
  AND ((role = 'canary' AND version = $4 AND at >= to_timestamp($2) AND at < to_timestamp($3))
    OR (role = 'champion' AND version = $5 AND at >= to_timestamp($6) AND at < to_timestamp($7)))`

/** Rows of a service without keys are independent. */
const entityOf = `CASE WHEN keys::text = '{}' THEN request_id || '/' || entity ELSE keys::text END`

function valuesOf({ rollout, champion, from, now, counts: { championIn } }: LogContext): readonly unknown[] {
  return [rollout.model, from / 1e6, now / 1e6, rollout.version, champion, championIn.from / 1e6, championIn.to / 1e6]
}

export interface MissingFeatures {
  /** Distinct ones. */
  readonly entities: number
  /** By feature: entities whose newest row has no value. */
  readonly missing: ReadonlyMap<string, number>
}

export interface LoggedOutputs {
  readonly entity: string
  readonly outputs: Readonly<Record<string, unknown>>
}

interface BySide<T> {
  readonly candidate: T
  readonly champion: T
}

/** What gates compare of the log. A part that no gate of the rollout compares is empty. */
export interface LoggedSides {
  /** For how many entities features had no value. */
  readonly missing: BySide<MissingFeatures>
  /**
   * A fair sample of each side's rows, in an order that does not change. The newest rows would be of other times: the
   * smaller side has fewer rows in the same time.
   */
  readonly outputs: BySide<readonly LoggedOutputs[]>
  /**
   * How many distinct units each side has. Rows that the champion answered in place of the candidate count as the
   * candidate's.
   */
  readonly units: BySide<number>
}

/** Reads the log once for all gates of a look. */
export const readLoggedSides = memoizeWeak(readSides)

interface Row {
  readonly part: keyof LoggedSides
  readonly side: 'candidate' | 'champion'
  readonly name: string | null
  readonly n: number | null
  readonly outputs: LoggedOutputs['outputs'] | null
}

/** By kind of gate: a query of `sides` for it, with the columns of `Row`. `$8` is the unit. */
const parts = (sample: number) => ({
  features: `SELECT 'missing' AS part, side, NULL AS name, count(*)::int AS n, NULL::json AS outputs FROM entities GROUP BY side
    UNION ALL
    SELECT 'missing', side, feature, count(*)::int, NULL FROM entities, json_object_keys(statuses) AS feature GROUP BY side, feature`,
  predictions: ['candidate', 'champion']
    .map(
      (side) =>
        `(SELECT 'outputs' AS part, side, entity AS name, NULL::int AS n, outputs FROM sides WHERE side = '${side}' ORDER BY place LIMIT ${sample})`,
    )
    .join(' UNION ALL '),
  split: `SELECT 'units' AS part, counted AS side, NULL AS name, count(DISTINCT unit)::int AS n, NULL::json AS outputs
    FROM (SELECT CASE WHEN bypassed = $4 THEN 'candidate' ELSE side END AS counted, unit FROM sides) AS units GROUP BY counted`,
})

async function readSides(context: LogContext): Promise<LoggedSides> {
  const { gates } = context.rollout.plan
  const sample = Math.max(0, ...gates.map((gate) => (gate.kind === 'predictions' ? gate.rows : 0)))
  const kinds = new Set<string>(gates.map(({ kind }) => kind))
  const queries = Object.entries(parts(sample)).flatMap(([kind, query]) => (kinds.has(kind) ? [query] : []))
  // the newest of both sides together, by the end of their own time
  const age =
    context.counts.championIn.to === context.now
      ? 'at'
      : `at + CASE side WHEN 'candidate' THEN interval '0' ELSE to_timestamp($3) - to_timestamp($7) END`
  const rows = await context.db.query<Row>(
    `WITH sides AS (
       SELECT ${sideOf} AS side, ${entityOf} AS entity, at, statuses, outputs, bypassed, hashtextextended(request_id, entity) AS place,
         CASE WHEN $8 = '${requestUnit}' THEN request_id ELSE coalesce(keys->>$8, request->>$8) END AS unit
       FROM lockstep.prediction_log WHERE ${isOfSides}
     ), entities AS (
       SELECT DISTINCT ON (side, entity) side, entity, statuses
       FROM (SELECT side, entity, statuses, at FROM sides ORDER BY ${age} DESC LIMIT ${2 * maxRows}) AS newest
       ORDER BY side, entity, at DESC
     ) ${queries.join(' UNION ALL ')}`,
    [...valuesOf(context), context.rollout.unit],
  )
  const bySide = <T>(part: Row['part'], of: (rows: readonly Row[]) => T): BySide<T> => {
    const own = (side: Row['side']): Row[] => rows.filter((row) => row.part === part && row.side === side)
    return { candidate: of(own('candidate')), champion: of(own('champion')) }
  }
  return {
    missing: bySide('missing', (own) => ({
      entities: own.find(({ name }) => name === null)?.n ?? 0,
      missing: new Map(own.flatMap(({ name, n }) => (name === null ? [] : [[name, n ?? 0]]))),
    })),
    outputs: bySide('outputs', (own) => own.map(({ name, outputs }) => ({ entity: name ?? '', outputs: outputs ?? {} }))),
    units: bySide('units', (own) => own[0]?.n ?? 0),
  }
}
