import { maxListedAlerts, readAlerts } from '../../../monitoring/alerts/read-alerts.ts'
import type { ProblemSources } from '../../../monitoring/problems/find-problems.ts'
import { askRollups, askStore, findProblems, readFailedJobs, readProblemSources } from '../../../monitoring/problems/find-problems.ts'
import { groupProblems } from '../../../monitoring/problems/problem.ts'
import type { TrafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import type { Catalog, CatalogModel } from '../../../registry/catalog.ts'
import { championAlias } from '../../../registry/models/model-aliases.ts'
import { maxListedJobs, readJobs } from '../../../runtime/jobs/read-jobs.ts'
import { noWorker } from '../../../runtime/postgres/worker-sessions.ts'
import type { NowData } from '../contract/now.ts'
import { now as contract } from '../contract/now.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { registryNotes, registryAtMoment } from '../past-registry.ts'
import { backfilledNotes } from '../models/backfilled-notes.ts'
import { modelAt } from '../models/model-at.ts'
import { errorsOf, latencyChart, trafficChart, widestSpan } from '../models/traffic-charts.ts'
import { recentTraffic } from '../models/version-traffic.ts'
import { pipelineLines } from '../pipelines/pipeline-models.ts'
import { headlineOf, modelProblems, pipelineProblem, readinessProblems } from './problems.ts'

/** So many models have figures; all others are in the catalog. */
const maxModels = 12

/** What is wrong now, since when, by what cause, and what to do. */
export const nowModel = readModel({
  path: '/now',
  scope: 'ui:read',
  data: contract,
  async read(ask) {
    const { db, deps, now, isPast } = ask
    const catalog = deps.catalog()
    const readiness = (await deps.status.readiness().catch(() => null)) ?? deps.readiness()
    const sources = isPast ? await sourcesThen(ask) : await sourcesNow(ask, catalog, readiness.warnings.includes(noWorker))
    const { alerts, failed, views, lacks } = sources
    const late = views.filter((view) => view.late !== null)
    const running = isPast ? [] : await readJobs(db, { state: 'running', limit: maxListedJobs })
    const known = await modelsAt(ask)
    const pushed = known.models.filter(({ versions }) => versions.length > 0)
    const models = pushed.slice(0, maxModels)
    const names = models.map(({ name }) => name)
    const { answer, problems: ofRollups } = await askRollups(() => recentTraffic(ask, names, false))
    const figures = answer ?? new Map<string, TrafficStatistics>()
    const found = findProblems(catalog, sources, now)
    const problems = groupProblems([
      ...found,
      ...ofRollups,
      ...(isPast ? [] : readinessProblems(readiness, sources, found)),
      ...(isPast ? [] : pushed.flatMap(modelProblems)),
      ...(await pipelineLines(ask)).flatMap((line) => pipelineProblem(line, isPast)),
    ])
    const data: NowData = {
      ...headlineOf(problems, isPast),
      problems: problems.map(({ consequences, ...problem }) => ({ ...problem, consequences: [...consequences] })),
      traffic: trafficChart([...figures]),
      latency: latencyChart([...figures]),
      modelsSay: `What each answered${widestSpan([...figures.values()])}.`,
      models: models.map((model) => modelLine(model, figures.get(model.name))),
      views: isPast ? null : { online: views.length, late: late.length, incomplete: lacks.length },
      jobs: { running: isPast ? null : running.length, failed: failed.length },
      alerts: { firing: alerts.length, silenced: alerts.filter(({ silencedUntil }) => silencedUntil !== null).length },
    }
    const named = [...catalog.models.keys()].slice(0, maxModels)
    return { data, notes: isPast ? [...known.notes, ...(await backfilledNotes(db, named, now))] : [] }
  },
})

/** The models in the registry at the page's moment. */
async function modelsAt(ask: Ask): Promise<{ readonly models: readonly CatalogModel[]; readonly notes: readonly string[] }> {
  const { past } = await registryAtMoment(ask)
  if (past === null) return { models: [...ask.deps.catalog().models.values()], notes: [] }
  const models: CatalogModel[] = []
  for (const { kind, name } of past.definitions) if (kind === 'model') models.push(await modelAt(ask, name))
  return {
    models,
    notes: ['The freshness of views, the readiness of servers and the jobs that ran were not recorded.', ...registryNotes(past)],
  }
}

async function sourcesNow({ db, deps, now }: Ask, catalog: Catalog, lacksWorker: boolean): Promise<ProblemSources> {
  const { answer: store, failure } = await askStore(deps.upkeep.store)
  return await readProblemSources({ db, store: store ?? failure ?? '', catalog, now, lacksWorker })
}

/** Of a past moment, what is stored says how it was: alerts and jobs. */
async function sourcesThen({ db, now }: Ask): Promise<ProblemSources> {
  const alerts = await readAlerts(db, { window: { from: now, to: now + 1 }, asOf: now, limit: maxListedAlerts })
  return { alerts, failed: await readFailedJobs(db, now), trainings: [], views: [], lacks: [], storeFailure: null, lacksWorker: false }
}

function modelLine(model: CatalogModel, figures: TrafficStatistics | undefined): NowData['models'][number] {
  const { rollout, experiments } = model
  return {
    name: model.name,
    champion: model.aliases.get(championAlias)?.version ?? null,
    pinned: model.pin,
    requests: figures?.total.requests ?? 0,
    errors: errorsOf(figures?.total.errors ?? {}),
    p99Ms: figures?.total.latencyMs.total.p99 ?? null,
    rollout: rollout === null ? null : { version: rollout.version, share: rollout.share, step: rollout.step, paused: rollout.paused },
    experiment: experiments[0]?.name ?? null,
  }
}
