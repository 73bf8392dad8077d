import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { reallocate, slicesOf } from '../../registry/experiments/allocation.ts'
import { countKeptUnits, keepsUnits, maxKeptUnits } from '../../registry/experiments/kept-units.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { nextWeights } from '../../statistics/thompson.ts'
import type { ExperimentEvidence } from './experiment-evidence.ts'
import { weightedArms } from './shared-periods.ts'

/** Smaller changes of all shares are left out. */
const minChange = 0.01

/**
 * The shares that the variants of an experiment get next: the chance of each to be the best by the primary metric, with
 * the floor. A pure function of the evidence.
 *
 * @returns null: they stay as they are
 */
function nextShares({ spec }: Pick<ExperimentRun, 'spec'>, { allocation, metrics }: ExperimentEvidence): readonly number[] | null {
  const [metric] = spec.metrics
  const sums = metrics[0]?.byPeriod
  const present = allocation?.periods.at(-1)?.shares
  if (spec.allocation === undefined || metric === undefined || allocation === undefined || sums === undefined || present === undefined)
    return null
  const arms = weightedArms(allocation.periods, sums).map(({ n, mean, variance }) => ({ n, mean, varianceOfMean: variance / n }))
  const { floor, minUnits } = spec.allocation
  const next = nextWeights(arms, { floor, minUnits, better: metric.better })
  if (next === null || next.every((share, i) => Math.abs(share - (present[i] as number)) < minChange)) return null
  return next
}

/** Changes the shares of a running experiment as its newest evidence says. @returns the new shares; null: none */
export async function allocate(db: Database, run: ExperimentRun, evidence: ExperimentEvidence): Promise<readonly number[] | null> {
  const shares = run.state === 'running' ? nextShares(run, evidence) : null
  if (shares === null || evidence.allocation === undefined) return null
  if (keepsUnits(run)) {
    const slices = slicesOf(run.slices, run.spec.variants, shares)
    if ((await countKeptUnits(db, run, slices)) > maxKeptUnits) return null
  }
  const { periods } = evidence.allocation
  const stored = { asOf: evidence.asOf, sums: JSON.parse(JSON.stringify(evidence.metrics[0]?.byPeriod ?? [])) as never }
  return (await reallocate(db, run, periods.length, shares, stored)) ? shares : null
}
