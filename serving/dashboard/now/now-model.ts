import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import { readAlerts } from '../../../monitoring/alerts/read-alerts.ts'
import { readViews } from '../../../monitoring/freshness/freshness-reader.ts'
import type { ViewFreshness } from '../../../monitoring/freshness/view-freshness.ts'
import type { ModelStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import { modelStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import type { Catalog, CatalogModel } from '../../../registry/catalog.ts'
import { championAlias } from '../../../registry/model-aliases.ts'
import { readJobs } from '../../../runtime/jobs/read-jobs.ts'
import type { NowData, Problem } from '../contract/now.ts'
import { now as contract } from '../contract/now.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { latencyChart, trafficChart } from '../models/traffic-charts.ts'
import { alertProblem, jobProblem, modelProblems, readinessProblems, viewProblems } from './problems.ts'

const hourMicros = 3_600_000_000
const dayMs = 86_400_000
/** So many models have figures; all others are in the catalog. */
const maxModels = 12

/** What is wrong now, since when, by what cause, and what to do. */
export const nowModel = readModel({
  path: '/now',
  scope: 'ui:read',
  query: z.object({}),
  data: contract,
  async read(ask) {
    const { db, deps, now, isPast } = ask
    const catalog = deps.catalog()
    // what is stored says how it was: alerts and figures
    const views = isPast ? [] : await freshnessOf(ask, catalog)
    const alerts = await readAlerts(db, isPast ? { window: { from: now, to: now + 1 } } : { state: 'firing' })
    const running = isPast ? [] : await readJobs(db, { state: 'running' })
    const failed = (await readJobs(db, { state: 'failed', limit: 20 })).filter(
      ({ finishedAt }) => finishedAt !== null && finishedAt.getTime() > now / 1000 - dayMs && finishedAt.getTime() <= now / 1000,
    )
    const models = [...catalog.models.values()].filter(({ versions }) => versions.length > 0).slice(0, maxModels)
    const figures = new Map<string, ModelStatistics>()
    for (const { name } of models)
      figures.set(name, await modelStatistics(db, { model: name, from: now - hourMicros, to: now, by: [], step: 'minute' }))
    const late = views.filter((view) => view.late !== null)
    const readiness = (await deps.status.readiness().catch(() => null)) ?? deps.readiness()
    const problems = [
      ...(isPast ? [] : readinessProblems(readiness, new Set(late.flatMap((view) => view.late ?? [])))),
      ...alerts.map(alertProblem),
      ...views.flatMap((view) => viewProblems(view, now)),
      ...failed.map(jobProblem),
      ...(isPast ? [] : models.flatMap(modelProblems)),
    ].toSorted((a, b) => rank(a) - rank(b))
    const data: NowData = {
      ...headlineOf(problems),
      problems,
      traffic: trafficChart([...figures]),
      latency: latencyChart([...figures]),
      models: models.map((model) => modelLine(model, figures.get(model.name))),
      views: { online: views.length, late: late.length },
      jobs: { running: running.length, failed: failed.length },
      alerts: { firing: alerts.length, silenced: alerts.filter(({ silencedUntil }) => silencedUntil !== null).length },
    }
    return { data }
  },
})

async function freshnessOf({ db, deps, now }: Ask, catalog: Catalog): Promise<ViewFreshness[]> {
  const plans = [...catalog.views.values()].filter(({ id }) => catalog.online.has(id))
  try {
    return await readViews(db, deps.upkeep.store(), plans, now)
  } catch (error) {
    // the store is away, which is a problem of its own
    if (error instanceof LockstepError && (error.code === 'REDIS_UNAVAILABLE' || error.code === 'NOT_READY')) return []
    throw error
  }
}

function rank({ severity }: Problem): number {
  return severity === 'page' ? 0 : severity === 'warn' ? 1 : 2
}

function headlineOf(problems: readonly Problem[]): Pick<NowData, 'headline' | 'isWell'> {
  const serious = problems.filter(({ severity }) => severity !== 'info')
  const [first] = serious
  if (first === undefined) return { headline: 'All is well.', isWell: true }
  return { headline: serious.length === 1 ? first.what : `${serious.length} problems. The worst: ${first.what}`, isWell: false }
}

function modelLine(model: CatalogModel, figures: ModelStatistics | undefined): NowData['models'][number] {
  const { rollout, experiments } = model
  return {
    name: model.name,
    champion: model.aliases.get(championAlias)?.version ?? null,
    requests: figures?.total.requests ?? 0,
    errors: Object.values(figures?.total.errors ?? {}).reduce((sum, count) => sum + count, 0),
    p99Ms: figures?.total.latencyMs.total.p99 ?? null,
    rollout: rollout === null ? null : { version: rollout.version, share: rollout.share, step: rollout.step, paused: rollout.paused },
    experiment: experiments[0]?.name ?? null,
  }
}
