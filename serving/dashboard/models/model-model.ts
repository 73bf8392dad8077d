import { LockstepError } from '../../../kernel/errors.ts'
import type { TrafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import { versionsWithBaseline } from '../../../monitoring/baselines/baseline.ts'
import type { CatalogModel } from '../../../registry/catalog.ts'
import { championAlias } from '../../../registry/models/model-aliases.ts'
import { rollBackTarget } from '../../../registry/models/promote.ts'
import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import { controllerActor, readDecisions } from '../../../registry/rollouts/decisions.ts'
import { readRollouts } from '../../../registry/rollouts/rollout.ts'
import type { ModelData } from '../contract/model.ts'
import { model as modelContract } from '../contract/model.ts'
import { definitionData } from '../definitions/definition-data.ts'
import { runOfActor } from '../../../registry/trainings/training-run.ts'
import { trainingLines } from '../trainings/training-models.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { registryAtMoment } from '../past-registry.ts'
import { backfilledNotes } from './backfilled-notes.ts'
import { modelAt } from './model-at.ts'
import { modelRevision } from './model-revision.ts'
import { errorsOf, latencyChart, momentText, noRequestText, msText, spanText, trafficChart } from './traffic-charts.ts'
import { bypassedText, requestsOf, versionEvidence, versionTraffic } from './version-traffic.ts'

/** So many versions, the newest ones, are looked at for a baseline. */
const shownVersions = 20

export const modelModel = readModel({
  path: '/models/:id',
  scope: 'ui:read',
  data: modelContract,
  async read(ask) {
    const { db, deps, now } = ask
    const name = (ask.params['id'] ?? '').split('@')[0] ?? ''
    const model = await modelAt(ask, name)
    const { page, data: definition, notes } = await definitionData(ask, name, ['model'])
    const byVersion = await versionTraffic(ask, name)
    const champion = model.aliases.get(championAlias)?.version ?? null
    const rolledBack = await rollBacks(ask, name)
    const baselines = await versionsWithBaseline(db, name)
    const lastCheck = model.rollout === null ? null : lastCheckOf(await readDecisions(db.kysely, model.rollout.id))
    const { trainings } = await trainingLines(ask, name)
    const versions: ModelData['versions'] = []
    for (const pushed of model.versions.toReversed().slice(0, shownVersions)) {
      const role = roleOf(model, pushed.version)
      const ended = role === null ? rolledBack.get(pushed.version) : undefined
      const asked = requestsOf(byVersion, pushed.version)
      const run = runOfActor(pushed.pushedBy)
      const figures = byVersion.groups.find(({ version }) => version === pushed.version)
      versions.push({
        version: pushed.version,
        role,
        service: pushed.service,
        pushedAt: pushed.createdAt.toISOString(),
        sizeBytes: pushed.sizeBytes,
        requests: asked?.requests ?? 0,
        failed: asked?.failed ?? 0,
        p99Ms: figures?.latencyMs.total.p99 ?? null,
        evidence: [
          versionEvidence(byVersion, pushed.version),
          ...(lastCheck !== null && model.rollout?.version === pushed.version ? [lastCheck] : []),
        ].join(' '),
        baseline: baselines.has(pushed.version),
        note: [
          ...(ended === undefined ? [] : [`rolled back at ${momentText(ended.toISOString())}`]),
          pushed.dataset === null ? 'no training set' : `training set ${pushed.dataset.slice(0, 8)}`,
        ].join(', '),
        trainedBy: run === null ? null : { training: run.training, job: String(run.job) },
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
      versionsSay: `Requests are those sent to a version${spanText(byVersion)}, and p99 is of those that it answered.`,
      versions,
      trainings: trainings.map((line) => ({ ...line, last: line.last === null ? null : { ...line.last, log: '' } })),
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
    const champion = model.aliases.get(championAlias)
    const former = champion?.former.at(-1)
    if (champion === undefined) return { to: null, says: 'not possible: no version was promoted' }
    if (former === undefined) return { to: null, says: `not possible: there was no champion before version ${champion.version}` }
    return { to: null, says: `not possible while version ${former} rolls out` }
  }
}

/** Versions that the model had then and that were deleted since. */
async function deletedNotes(ask: Ask, name: string): Promise<readonly string[]> {
  const deleted = ((await registryAtMoment(ask)).past?.deletedVersions ?? []).filter((label) => label.startsWith(`${name}@`))
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
  return experiments.some(({ spec }) => spec.variants.some(({ serves }) => serves === String(version))) ? 'variant' : null
}

/** The newest check of a running rollout. */
function lastCheckOf(decisions: readonly RolloutDecision[]): string | null {
  const last = decisions.find(({ by }) => by === controllerActor)
  if (last === undefined) return null
  const said = [last.action, ...last.reasons].join('. ')
  return `The newest check of its rollout, at ${momentText(last.at.toISOString())}: ${said.replace(/\.?$/, '.')}`
}

function saysOf(traffic: TrafficStatistics, requests: number, failed: number, p99: number | null): string {
  if (requests === 0) return noRequestText(spanText(traffic))
  const time = p99 === null ? '' : ` 99 of 100 were answered within ${msText(p99)}.`
  return `${requests.toLocaleString('en-US')} requests${spanText(traffic)}, ${failed === 0 ? 'none failed' : `${failed.toLocaleString('en-US')} failed`}.${bypassedText(traffic)}${time}`
}
