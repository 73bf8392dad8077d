import { LockstepError } from '../../../kernel/errors.ts'
import type { ServicePlan } from '../../../kernel/service-plan.ts'
import { dayMicros, formatTimestamp } from '../../../kernel/values/time.ts'
import type { DefinitionId } from '../../../kernel/specs/view-spec.ts'
import type { DriftJson } from '../../../monitoring/drift/drift-json.ts'
import { clientAndBackfillRoles } from '../../../monitoring/role.ts'
import { statusSeries } from '../../../monitoring/rollups/read-rollups.ts'
import type { Chart } from '../contract/answer.ts'
import type { FeatureData } from '../contract/feature.ts'
import type { DefinitionData } from '../contract/definition.ts'
import { feature as featureContract } from '../contract/feature.ts'
import { driftText, percent, referenceOf, sinceOf, storedDrift } from '../models/drift-lines.ts'
import { spanText } from '../models/traffic-charts.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { definitionData } from './definition-data.ts'

/** One feature: how it is computed, served beside training, and why it is missing. */
export const featureModel = readModel({
  path: '/features/:id/stats',
  scope: 'ui:read',
  data: featureContract,
  async read(ask) {
    const id = ask.params['id'] ?? ''
    const at = id.indexOf('.')
    const [reference, name] = at < 0 ? [id, ''] : [id.slice(0, at), id.slice(at + 1)]
    const { data: definition, page, notes } = await definitionData(ask, reference, ['view', 'onDemand'])
    const details = page.features?.find((each) => each.name === name)
    if (details === undefined) {
      throw new LockstepError(
        'UNKNOWN_DEFINITION',
        `The view "${definition.id}" has no feature "${name}"; it has ${(page.features ?? []).map((each) => each.name).join(', ')}.`,
      )
    }
    const users = columnsOf(ask, definition.id, name)
    const drifts: (Column & Pick<FeatureData['drift'][number], 'model' | 'since'> & Pick<FeatureData, 'reference'>)[] = []
    for (const { model, column } of users) {
      const report = await storedDrift(ask, model)
      const found = report?.columns.find((each) => each.column === column)
      if (report === null || found === undefined) continue
      const since = (await sinceOf(ask, report)).get(column) ?? null
      drifts.push({ ...found, model, since, reference: referenceOf(report) })
    }
    // the state of the page is that of the use that drifted
    const first = drifts.find(({ drifted }) => drifted) ?? drifts[0]
    const data: FeatureData = {
      ...definition,
      id,
      parts: [],
      readers: readersOf(ask, definition, name, users),
      view: definition.id,
      type: details.type,
      computed: details.computed,
      distribution: first === undefined ? null : distributionOf(first, first.reference, drifts.length > 1),
      categories:
        first === undefined || isNumeric(first)
          ? []
          : first.bins.map(({ label, baseline, window }) => ({
              value: label,
              served: first.missing.window === null ? null : window,
              trained: baseline,
            })),
      uses: users,
      reference: first?.reference ?? 'training',
      nulls: await nullsOf(ask, first ?? users[0] ?? null, users.length > 1),
      nullsInTraining: (first?.missing.reasons ?? []).map(({ status, baseline }) => ({ reason: statusText(status), share: baseline })),
      drift: drifts.map((each) => ({
        model: each.model,
        column: each.column,
        says: driftText(each, each.reference),
        drifted: each.drifted,
        since: each.since,
        distance: each.distances?.psi ?? null,
        harm: each.harm,
      })),
    }
    return { data, sampled: 'rows of each server, at most LOCKSTEP_ROLLUP_ROWS a second', notes }
  },
})

type Column = DriftJson['columns'][number]

/** Where models read the feature, under its name in their service: those that answer first. */
function columnsOf({ deps }: Ask, view: string, name: string): { readonly model: string; readonly column: string }[] {
  const catalog = deps.catalog()
  const models = [...catalog.models.values()].toSorted((a, b) => Number(b.versions.length > 0) - Number(a.versions.length > 0))
  return models.flatMap((model) => {
    const service = catalog.services.get(model.spec.service)
    if (service === undefined) return []
    return service.features.flatMap((feature) => (isOf(service, feature, view, name) ? [{ model: model.name, column: feature.name }] : []))
  })
}

/** Of what reads the view, all but the services that leave the feature out; and the models that read it. */
function readersOf({ deps }: Ask, { id, readers }: DefinitionData, name: string, users: FeatureData['uses']): FeatureData['readers'] {
  const { services } = deps.catalog()
  const ofView = readers.filter(({ link }) => {
    const service = link.kind === 'service' ? services.get(link.id as DefinitionId) : undefined
    return service === undefined || service.features.some((feature) => isOf(service, feature, id, name))
  })
  const models = [...Map.groupBy(users, ({ model }) => model)].map(([model, uses]) => ({
    link: { kind: 'model' as const, id: model },
    about: `model, as ${uses.map(({ column }) => column).join(' and ')}`,
  }))
  return [...ofView, ...models]
}

/** Whether a column of a service is a feature of a view. */
function isOf(service: ServicePlan, feature: ServicePlan['features'][number], view: string, name: string): boolean {
  return feature.view === view && feature.name === nameIn(service.uses[feature.use ?? -1]?.alias ?? null, name)
}

/** A feature's name in a service that reads its view under an alias. */
function nameIn(alias: string | null, name: string): string {
  return alias === null ? name : `${alias}__${name}`
}

function statusText(status: string): string {
  return status.toLowerCase().replaceAll('_', ' ')
}

function isNumeric({ outOfRange }: Column): boolean {
  return outOfRange !== null
}

/** Bins that are shown only if they have rows. */
const rareBins: ReadonlySet<string> = new Set(['NaN', '-infinity', 'infinity'])

/** Served beside training: shares of rows by bin, in the order of the bins. */
function distributionOf(column: Column, reference: FeatureData['reference'], isOneOfMany: boolean): FeatureData['distribution'] {
  if (!isNumeric(column)) return null
  const bins = column.bins.filter(({ label, baseline, window }) => !rareBins.has(label) || (baseline ?? 0) + (window ?? 0) > 0)
  const line = (label: string, share: 'baseline' | 'window'): Chart['series'][number] => ({
    label,
    unit: 'share',
    points: bins.map((bin, i) => ({ t: i, v: column.missing[share] === null ? null : bin[share] })),
  })
  return {
    chart: {
      finding: `${isOneOfMany ? `As ${column.column}: ` : ''}${driftText(column, reference)}`,
      series: [line('served', 'window'), line(reference, 'baseline')],
    },
    bins: bins.map(({ label }) => (label === 'null' ? 'missing' : binName(label))),
  }
}

/** A bin's ends with four digits: `-3.556 to 5.063`. */
function binName(label: string): string {
  return label.replaceAll(/-?\d+\.\d+/g, (end) => String(Number(Number(end).toPrecision(4))))
}

/** The share of rows without a value, by the reason, each hour of the last day. */
async function nullsOf(
  { db, now }: Ask,
  user: { readonly model: string; readonly column: string } | null,
  isOneOfMany: boolean,
): Promise<Chart> {
  if (user === null) return { finding: 'No model reads this feature.', series: [] }
  const window = { from: now - dayMicros, to: now, step: 'hour' } as const
  const series = await statusSeries(db, { model: user.model, column: user.column, roles: clientAndBackfillRoles, ...window })
  const reasons = new Set<string>()
  const hours = series.map(({ at, statuses }) => {
    for (const status of statuses.keys()) if (status !== 'PRESENT') reasons.add(status)
    return { at, statuses, rows: [...statuses.values()].reduce((sum, count) => sum + count, 0) }
  })
  const rows = hours.reduce((sum, hour) => sum + hour.rows, 0)
  const [first] = series
  const span = first === undefined ? '' : spanText({ from: formatTimestamp(first.at), to: formatTimestamp(now) })
  const missing = hours.reduce((sum, { statuses, rows: all }) => sum + all - (statuses.get('PRESENT') ?? 0), 0)
  return {
    finding:
      rows === 0
        ? `${user.model} answered no rows${span}.`
        : `${percent(missing / rows)} of ${rows.toLocaleString('en-US')} rows of ${user.model}${span} had no value${isOneOfMany ? ` as ${user.column}` : ''}.`,
    // a line of zeros where no row lacks a value
    series: [...(reasons.size === 0 && rows > 0 ? ['NULL_VALUE'] : reasons)].map((status) => ({
      label: statusText(status),
      unit: 'share',
      points: hours.map(({ at, statuses, rows: all }) => ({
        t: at / 1000,
        v: all === 0 ? null : (statuses.get(status) ?? 0) / all,
        n: all,
      })),
    })),
  }
}
