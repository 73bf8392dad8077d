import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { pendingErasures } from '../../materializer/erase/finish-erasures.ts'
import { backfillJson, readBackfills } from '../../materializer/backfills/read-backfills.ts'
import { pendingRemovals } from '../../materializer/sources/removals.ts'
import { givenUpRuns } from '../../materializer/runs/scheduled-runs.ts'
import { lastRuns, materializationStatus } from '../../materializer/status.ts'
import { streamStatus } from '../../materializer/streams/stream-status.ts'
import { readServedAges } from '../../monitoring/freshness/served-ages.ts'
import { freshnessJson } from '../../monitoring/freshness/view-freshness.ts'
import { askRollups, askStore, failuresIn, findProblems, readProblemSources } from '../../monitoring/problems/find-problems.ts'
import { groupProblems } from '../../monitoring/problems/problem.ts'
import { readDatasets, withoutManifest } from '../../offline/datasets/stored-datasets.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isEmbedded } from '../../runtime/postgres/database.ts'
import { oldestWriter } from '../../runtime/postgres/oldest-writer.ts'
import type { StreamServers } from '../../runtime/streams/open-consumer.ts'
import { hasWorker } from '../../runtime/postgres/worker-sessions.ts'

/** Ages of answers are of the last hour. */
const servedMicros = 3_600_000_000

export interface StatusSources {
  readonly db: Database
  readonly catalog: Catalog
  /** A store that is down does not hide the rest of the status. */
  readonly store: () => OnlineStore | Promise<OnlineStore>
  /** Its kind while it is down. */
  readonly storeKind: OnlineStore['kind']
  /** Where the streams of sources are. */
  readonly streams: StreamServers
}

/**
 * How views, sources, streams, models, training sets and background work are, as the command line and HTTP print it.
 */
export async function registryStatus({ db, catalog, store: open, storeKind, streams: servers }: StatusSources) {
  const nowMs = Date.now()
  const { answer: opened, failure: problem } = await askStore(async () => {
    const store = await open()
    return { store, identity: await store.identity() }
  })
  const identity = opened?.identity ?? null
  // the process that serves an embedded database keeps it current
  const worker = isEmbedded(db) ? null : await hasWorker(db)
  const now = nowMs * 1000
  const known = await readProblemSources({ db, store: opened?.store ?? problem ?? '', catalog, now, lacksWorker: worker === false })
  const { views: freshness, lacks } = known
  const failed = new Set(failuresIn(known.failed).flatMap(({ jobs }) => jobs.map(({ subject }) => subject)))
  const served = { from: now - servedMicros, to: now }
  const { answer: ages, problems: ofRollups } = await askRollups(() => readServedAges(db, served))
  const lastRun = lastRuns((await materializationStatus(db, nowMs)).filter((run) => identity === null || run.store === identity))
  const freshnessOf = new Map(freshness.map((view) => [view.view, view]))
  const givenUp = identity === null ? [] : await givenUpRuns(db, identity)
  return {
    database: db.kind,
    store: { kind: opened?.store.kind ?? storeKind, identity, problem },
    revision: catalog.revision,
    views: [...catalog.views.values()].map((plan) => {
      const run = lastRun(plan)
      const fresh = freshnessOf.get(plan.id)
      return {
        id: plan.id,
        fingerprint: plan.fingerprint,
        online: catalog.online.has(plan.id),
        availability: plan.spec.availability,
        lastRun:
          run === null
            ? null
            : {
                ...run,
                moment: formatTimestamp(run.moment),
                startedAt: run.startedAt.toISOString(),
                finishedAt: run.finishedAt.toISOString(),
              },
        freshness: fresh === undefined ? null : freshnessJson(fresh),
        served: ages?.byView.get(plan.id) ?? null,
      }
    }),
    servedSince: formatTimestamp((ages ?? served).from),
    oldestTransaction: await oldestWriter(db),
    services: [...catalog.services.keys()],
    sources: [...catalog.sources.values()].map(({ name, relation }) => ({ name, relation, files: catalog.files.get(name) ?? null })),
    streams: await streams(db, catalog.streams, servers),
    models: [...catalog.models.values()].map(({ name, spec, versions }) => ({
      name,
      service: spec.service,
      versions: versions.map(({ version }) => version),
    })),
    datasets: (await readDatasets(db)).map((dataset) => ({ ...withoutManifest(dataset), createdAt: dataset.createdAt.toISOString() })),
    notReady: [...lacks],
    worker,
    removing:
      identity === null
        ? []
        : (await pendingRemovals(db, identity)).map((each) => ({ ...each, requestedAt: each.requestedAt.toISOString() })),
    erasing: await pendingErasures(db),
    problems: groupProblems([...findProblems(catalog, known, now), ...ofRollups]),
    broken: [...catalog.broken].map(([id, { code, message }]) => ({ id, code, message })),
    backfills: (await readBackfills(db, { state: 'running' })).map(backfillJson),
    deadLetters: givenUp.map(({ view, moment, why, attempts, at }) => ({
      view,
      moment: formatTimestamp(moment),
      error: why,
      attempts,
      at: at.toISOString(),
      isProblem: failed.has(view),
    })),
  }
}

async function streams(db: Database, specs: ReadonlyMap<string, StreamSpec>, servers: StreamServers) {
  return (await streamStatus(db, specs, servers)).map(({ deadLetters: dead, ...stream }) => ({
    ...stream,
    deadLetters: dead === null ? null : { ...dead, lastAt: dead.lastAt.toISOString() },
  }))
}
