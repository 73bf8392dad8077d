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

/** For how many entities features had no value. */
export async function missingFeatures(
  context: LogContext,
): Promise<{ readonly candidate: MissingFeatures; readonly champion: MissingFeatures }> {
  // the newest of both sides together, by the end of their own time
  const age =
    context.counts.championIn.to === context.now
      ? 'at'
      : `at + CASE role WHEN 'canary' THEN interval '0' ELSE to_timestamp($3) - to_timestamp($7) END`
  const rows = await context.db.query<{ readonly side: 'candidate' | 'champion'; readonly feature: string | null; readonly n: number }>(
    `WITH newest AS (
       SELECT ${sideOf} AS side, ${entityOf} AS entity, statuses, at FROM lockstep.prediction_log
       WHERE ${isOfSides} ORDER BY ${age} DESC LIMIT ${2 * maxRows}
     ), entities AS (SELECT DISTINCT ON (side, entity) side, entity, statuses FROM newest ORDER BY side, entity, at DESC)
     SELECT side, NULL AS feature, count(*)::int AS n FROM entities GROUP BY side
     UNION ALL
     SELECT side, feature, count(*)::int AS n FROM entities, json_object_keys(statuses) AS feature GROUP BY side, feature`,
    valuesOf(context),
  )
  const of = (side: 'candidate' | 'champion'): MissingFeatures => {
    const own = rows.filter((row) => row.side === side)
    return {
      entities: own.find(({ feature }) => feature === null)?.n ?? 0,
      missing: new Map(own.flatMap(({ feature, n }) => (feature === null ? [] : [[feature, n]]))),
    }
  }
  return { candidate: of('candidate'), champion: of('champion') }
}

export interface LoggedOutputs {
  readonly entity: string
  readonly outputs: Readonly<Record<string, unknown>>
}

/**
 * A fair sample of each side's rows. The newest rows would be of other times: the smaller side has fewer rows in the
 * same time.
 */
export async function loggedOutputs(
  context: LogContext,
  limit: number,
): Promise<{ readonly candidate: readonly LoggedOutputs[]; readonly champion: readonly LoggedOutputs[] }> {
  const of = async (side: string): Promise<LoggedOutputs[]> =>
    await context.db.query<LoggedOutputs>(
      `SELECT ${entityOf} AS entity, outputs FROM lockstep.prediction_log
       WHERE ${isOfSides} AND ${sideOf} = $8 ORDER BY hashtextextended(request_id, entity) LIMIT $9`,
      [...valuesOf(context), side, limit],
    )
  return { candidate: await of('candidate'), champion: await of('champion') }
}

/**
 * How many distinct units each side has. Rows that the champion answered in place of the candidate count as the
 * candidate's.
 */
export async function loggedUnits(context: LogContext): Promise<{ readonly candidate: number; readonly champion: number }> {
  const { unit } = context.rollout
  const [row] = await context.db.query<{ readonly candidate: number; readonly champion: number }>(
    `SELECT count(DISTINCT unit) FILTER (WHERE side = 'candidate')::int AS candidate,
            count(DISTINCT unit) FILTER (WHERE side = 'champion')::int AS champion
     FROM (SELECT CASE WHEN bypassed = $4 THEN 'candidate' ELSE ${sideOf} END AS side,
                  CASE WHEN $8 = '${requestUnit}' THEN request_id ELSE coalesce(keys->>$8, request->>$8) END AS unit
           FROM lockstep.prediction_log WHERE ${isOfSides}) AS sides`,
    [...valuesOf(context), unit],
  )
  return row ?? { candidate: 0, champion: 0 }
}
