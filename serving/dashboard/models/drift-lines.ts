import { newestFigures } from '../../../monitoring/figures/stored-figures.ts'
import type { DriftJson } from '../../../monitoring/drift/drift-json.ts'
import type { QualityData } from '../contract/model.ts'
import type { Ask } from '../read-model.ts'
import { answeringVersion, modelAt } from './model-at.ts'
import { rounded } from './traffic-charts.ts'

/** The stored drift of the version that answers; null: there is none. */
export async function storedDrift(ask: Ask, name: string): Promise<DriftJson | null> {
  const model = await modelAt(ask, name)
  const all = await newestFigures(ask.db, name, 'drift', ask.now)
  const version = answeringVersion(model)
  // rows that were backfilled have figures of times before the first version was pushed
  return (version === null ? all[0] : all.find((each) => each.version === version))?.report ?? null
}

/** How features and outputs of the version that answers drifted, the most harmful first. */
export async function driftLines(ask: Ask, name: string): Promise<QualityData['drift']> {
  const report = await storedDrift(ask, name)
  const service = ask.deps.catalog().services.get((await modelAt(ask, name)).spec.service)
  return (report?.columns ?? []).map((column) => {
    const feature = service?.features.find((each) => each.name === column.column)
    return {
      feature: column.column,
      view: feature === undefined || feature.use === null ? null : (service?.uses[feature.use]?.plan.id ?? null),
      drifted: column.drifted,
      distance: column.distances?.psi ?? null,
      harm: column.harm,
      says: driftText(column),
      cause: column.causes[0]?.text ?? null,
    }
  })
}

export function driftText({ drifted, distances, untested, missing, mean }: DriftJson['columns'][number]): string {
  if (untested !== null) return untested
  if (distances === null) return 'There is nothing to compare.'
  const means =
    mean.baseline === null || mean.window === null
      ? ''
      : ` The mean was ${rounded(mean.baseline)} in training, and is ${rounded(mean.window)}.`
  const nulls = `${percent(missing.baseline)} were missing in training, ${percent(missing.window)} are now.`
  return `${drifted ? 'It drifted' : 'It did not drift'}: PSI ${rounded(distances.psi)}.${means} ${nulls}`
}

export function percent(share: number): string {
  const value = share * 100
  return `${value.toFixed(value > 0 && value < 1 ? 2 : 1)} %`
}
