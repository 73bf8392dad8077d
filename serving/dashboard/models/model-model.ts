import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import type { TrafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import { trafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import { versionsWithBaseline } from '../../../monitoring/baselines/baseline.ts'
import type { CatalogModel } from '../../../registry/catalog.ts'
import { championAlias } from '../../../registry/model-aliases.ts'
import { rollBackTarget } from '../../../registry/promote.ts'
import { readRollouts } from '../../../registry/rollouts/rollout.ts'
import type { Database } from '../../../runtime/database.ts'
import type { ModelData } from '../contract/model.ts'
import { model as modelContract } from '../contract/model.ts'
import { definitionData } from '../definitions/definition-data.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { registryOf } from '../past-registry.ts'
import { backfilledNotes } from './backfilled-notes.ts'
import { modelAt } from './model-at.ts'
import { modelRevision } from './model-revision.ts'
import { errorsOf, latencyChart, momentText, rounded, spanText, trafficChart } from './traffic-charts.ts'

const hourMicros = 3_600_000_000
/** So many versions, the newest ones, are looked at for a baseline. */
const shownVersions = 20

export const modelModel = readModel({
  path: '/models/:id',
  scope: 'ui:read',
  query: z.object({}),
  data: modelContract,
  async read(ask) {
    const { db, deps, now } = ask
    const name = (ask.params['id'] ?? '').split('@')[0] ?? ''
    const model = await modelAt(ask, name)
    const { page, data: definition, notes } = await definitionData(ask, name, ['model'])
    const byVersion = await versionsOf(db, name, now)
    const champion = model.aliases.get(championAlias)?.version ?? null
    const rolledBack = await rollBacks(ask, name)
    const baselines = await versionsWithBaseline(db, name)
    const versions: ModelData['versions'] = []
    for (const pushed of model.versions.toReversed().slice(0, shownVersions)) {
      const role = roleOf(model, pushed.version)
      const ended = role === null ? rolledBack.get(pushed.version) : undefined
      const figures = byVersion.groups.find(({ version }) => version === pushed.version)
      versions.push({
        version: pushed.version,
        role,
        service: pushed.service,
        pushedAt: pushed.createdAt.toISOString(),
        sizeBytes: pushed.sizeBytes,
        requests: figures?.requests ?? 0,
        p99Ms: figures?.latencyMs.total.p99 ?? null,
        baseline: baselines.has(pushed.version),
        note: [
          ...(ended === undefined ? [] : [`rolled back at ${momentText(ended.toISOString())}`]),
          pushed.dataset === null ? 'no training set' : `training set ${pushed.dataset.slice(0, 8)}`,
        ].join(', '),
      })
    }
    const lines = byVersion.groups.map(({ version }): [string, typeof byVersion] => {
      const total = byVersion.groups.find((group) => group.version === version) ?? byVersion.total
      const series = byVersion.series.filter(({ of }) => of === String(version))
      return [`${name}@${version}`, { ...byVersion, total: { ...byVersion.total, ...total }, series }]
    })
    const service = deps.catalog().services.get(model.spec.service)
    const { requests, errors, latencyMs } = byVersion.total
    const data: ModelData = {
      name,
      description: page.description,
      owner: page.owner,
      tags: definition.tags,
      service: model.spec.service,
      champion,
      pinned: model.pin,
      rollBack: ask.isPast ? null : rollBackOf(model),
      revision: await modelRevision(db, name),
      says: saysOf(byVersion, requests, errorsOf(errors), latencyMs.total.p99),
      rollout: model.rollout === null ? null : { version: model.rollout.version, share: model.rollout.share, paused: model.rollout.paused },
      experiment: model.experiments[0]?.name ?? null,
      versionsSay: `Requests and their times are of answers${spanText(byVersion)}.`,
      versions,
      inputs: (service?.features ?? []).map((feature) => ({
        feature: feature.name,
        view: feature.view,
        type: feature.type.kind,
      })),
      traffic: trafficChart(lines),
      latency: latencyChart(lines),
    }
    if (!ask.isPast) return { data, notes }
    return { data, notes: [...notes, ...(await deletedNotes(ask, name)), ...(await backfilledNotes(db, [name], now))] }
  },
})

function rollBackOf(model: CatalogModel): ModelData['rollBack'] {
  try {
    return { to: rollBackTarget(model), says: null }
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return { to: null, says: error.message }
  }
}

/** What the versions of the model answered in the last hour. */
async function versionsOf(db: Database, name: string, now: number): Promise<TrafficStatistics> {
  const found = (await trafficStatistics(db, { models: [name], from: now - hourMicros, to: now, byVersion: true })).get(name)
  if (found === undefined) throw new Error('Each model that is asked for has statistics.')
  return found
}

/** Versions that the model had then and that were deleted since. */
async function deletedNotes(ask: Ask, name: string): Promise<readonly string[]> {
  const deleted = ((await registryOf(ask)).past?.deletedVersions ?? []).filter((label) => label.startsWith(`${name}@`))
  return deleted.length === 0 ? [] : [`Deleted since, and not shown: ${deleted.join(', ')}.`]
}

/** When the last rollout of each version was rolled back, if it was. */
async function rollBacks({ db, now, isPast }: Ask, name: string): Promise<ReadonlyMap<number, Date>> {
  const at = new Date(now / 1000)
  const ended = new Map<number, Date>()
  const rollouts = await readRollouts(db.kysely, name)
  for (const { version, state, endedAt } of rollouts.toReversed()) {
    ended.delete(version)
    if (state === 'rolled back' && endedAt !== null && (!isPast || endedAt <= at)) ended.set(version, endedAt)
  }
  return ended
}

function roleOf({ aliases, rollout, shadow, experiments }: CatalogModel, version: number): string | null {
  if (aliases.get(championAlias)?.version === version) return 'champion'
  if (rollout?.version === version) return 'candidate'
  if (shadow?.version === version) return 'shadow'
  return experiments.some(({ spec }) => spec.variants.some(({ serves }) => serves === String(version))) ? 'arm' : null
}

function saysOf(window: Pick<TrafficStatistics, 'from' | 'to'>, requests: number, failed: number, p99: number | null): string {
  if (requests === 0) return `Nobody asked for a prediction${spanText(window)}.`
  const time = p99 === null ? '' : ` 99 of 100 were answered within ${rounded(p99)} ms.`
  return `${requests.toLocaleString('en-US')} requests${spanText(window)}, ${failed === 0 ? 'none failed' : `${failed.toLocaleString('en-US')} failed`}.${time}`
}
