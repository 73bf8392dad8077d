import { memoizeWeak } from '../../../../kernel/memoize-weak.ts'
import type { ServedAs } from '../../../../monitoring/role.ts'
import type { ModelVersion } from '../../../../registry/models/model-versions.ts'
import type { PredictedGroup } from '../../../predict/predict.ts'
import { frontiersJson, typesJson, typesText } from '../features/feature-members.ts'
import { featureTable } from '../features/feature-table.ts'

const versionJson = memoizeWeak(({ version, service }: ModelVersion) => `"version":${version},"service":"${service}"`)

/**
 * The members that say which version answered: `version`, `service` and `role` if it is the same for all rows, else
 * `servedBy` with the rows of each version. There the types and frontiers stand as well, because each version has its
 * own feature service.
 */
export function servedByJson(groups: readonly PredictedGroup[], include: readonly string[] | undefined): string {
  const [only] = groups
  if (only !== undefined && groups.length === 1) return groupJson(only)
  return `"servedBy":[${groups
    .map(
      (group) =>
        `{${groupJson(group)},"rows":[${group.rows.join()}]${frontiersJson(include, group.read)}${typesJson(include, group.model.service)}}`,
    )
    .join()}]`
}

/** The types of the features of all versions, as their columns have them. */
export function allTypesJson(include: readonly string[] | undefined, groups: readonly PredictedGroup[]): string {
  return include?.includes('types') === true ? `,"types":${typesText(featureTable(groups, 0).features)}` : ''
}

function groupJson(group: PredictedGroup): string {
  return `${versionJson(group.model.version)},"role":"${group.role}"${experimentJson(group)}${group.bypassed === undefined ? '' : `,"bypassed":${group.bypassed}`}`
}

function experimentJson({ experiment, variant }: ServedAs): string {
  return experiment === null ? '' : `,"experiment":${JSON.stringify(experiment)},"variant":${JSON.stringify(variant)}`
}

/** The text that `write` makes of each row of its group, in the order of the request. */
export function textsByRow(
  groups: readonly PredictedGroup[],
  write: (group: PredictedGroup) => (row: PredictedGroup['read']['rows'][number]) => string,
): string[] {
  const texts: string[] = []
  for (const group of groups) {
    const text = write(group)
    for (const [i, row] of group.rows.entries()) texts[row] = text(group.read.rows[i] as PredictedGroup['read']['rows'][number])
  }
  return texts
}
