import type { Database } from '../../runtime/postgres/database.ts'
import { hourMicros } from '../../kernel/values/time.ts'
import type { CatalogModel } from '../../registry/catalog.ts'
import { championAlias } from '../../registry/models/model-aliases.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import type { Window } from '../window.ts'
import { readRollup } from '../rollups/read-rollups.ts'
import { callerErrorCodes } from '../alerts/checks/errors.ts'
import { readCounts } from './rollout-counts.ts'
import { SideCounts } from './side-counts.ts'

/** The candidate's counts in a step, and those of the champion that they are compared with. */
export interface ComparedCounts {
  readonly candidate: SideCounts
  readonly champion: SideCounts
  /** The period of the champion's figures: a step that leaves it no requests is compared with earlier steps. */
  readonly championOf: 'the same time' | 'the steps before' | 'the hour before' | 'since it became the champion' | 'nothing'
  /** That period, for what is not counted but logged. */
  readonly championIn: Window
}

/**
 * @param champion the version that answers the other requests
 * @param period since when the candidate is judged, until now
 */
export async function comparedCounts(
  db: Database,
  model: Pick<CatalogModel, 'aliases'>,
  rollout: Rollout,
  champion: number,
  period: Window,
): Promise<ComparedCounts> {
  const { candidate, champion: same } = await readCounts(db, rollout.id, rollout.revision, 'of')
  if (rollout.share < 1) return { candidate, champion: same, championOf: 'the same time', championIn: period }
  const since = rollout.startedAt.getTime() * 1000
  const championSince = (model.aliases.get(championAlias)?.setAt.getTime() ?? 0) * 1000
  // the steps before may be of another champion
  const isNew = championSince > since
  if (!isNew) {
    const { champion: earlier } = await readCounts(db, rollout.id, rollout.revision, 'before')
    const championIn = { from: since, to: rollout.since.getTime() * 1000 }
    if (earlier.requests > 0) return { candidate, champion: earlier, championOf: 'the steps before', championIn }
  }
  const championIn = isNew ? { from: championSince, to: period.to } : { from: since - hourMicros, to: since }
  const roles = isNew ? { roles: ['champion'] as const } : {}
  const rollup = await readRollup(db, { model: rollout.model, versions: [champion], trafficOnly: true, ...roles, ...championIn })
  const counts = new SideCounts()
  counts.requests = rollup.requests
  counts.rows = rollup.rows
  for (const [code, count] of rollup.errors) counts.addError(code, count)
  counts.latency.add(rollup.latency.total)
  return {
    candidate,
    champion: counts,
    championOf: counts.requests === 0 ? 'nothing' : isNew ? 'since it became the champion' : 'the hour before',
    championIn,
  }
}

/** Failed requests and their codes, without those that are the caller's fault. */
export function failuresOf({ errors }: SideCounts): { readonly failed: number; readonly codes: Record<string, number> } {
  const codes = Object.fromEntries([...errors].filter(([code]) => !callerErrorCodes.has(code)))
  return { failed: Object.values(codes).reduce((sum, count) => sum + count, 0), codes }
}
