import { LockstepError } from '../../kernel/errors.ts'
import { filesName } from '../../kernel/files-spec.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { pendingErasures } from '../../materializer/erase/finish-erasures.ts'
import { failingText } from '../../materializer/failing-views.ts'
import { pendingRemovals } from '../../materializer/removals.ts'
import { readServedAges } from '../../monitoring/freshness/served-ages.ts'
import { readFreshness } from '../../monitoring/freshness/freshness-reader.ts'
import type { MaterializationStatus } from '../../materializer/status.ts'
import { materializationStatus } from '../../materializer/status.ts'
import type { ViewFreshness } from '../../monitoring/freshness/view-freshness.ts'
import { freshnessJson } from '../../monitoring/freshness/view-freshness.ts'
import type { OnlineStore } from '../../online/store.ts'
import { streamStatus } from '../../materializer/streams/stream-status.ts'
import { createCheckpointOwner } from '../../online/checkpoint-owner.ts'
import { isEmbedded } from '../../runtime/database.ts'
import { databaseName } from '../../runtime/open-database.ts'
import { hasWorker, noWorker } from '../../runtime/worker-sessions.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { readDatasets, withoutManifest } from '../../offline/stored-datasets.ts'
import { freshnessCells, oldestWriterText, servedHeader, servedRows, setAsideLines } from '../freshness-text.ts'
import { ago, count, counted, moment } from '../human.ts'
import { jobStatus, jobStatusJson, jobStatusLines } from '../job-status.ts'
import { streamHeader, streamProblems, streamRow } from '../stream-status-text.ts'
import { table } from '../table.ts'

/** Ages of answers are of the last hour, or a bit more. */
const servedMicros = 3_600_000_000

export const statusCommand: Command = {
  name: 'status',
  summary: 'Show views with their freshness and last run, sources, models and training sets',
  description: [
    'Exits with 1, and says what to do, if a view is further behind its source than its "freshness", if its scheduled run is overdue, if its last three runs have failed, or if one of its entities is set aside.',
  ],
  example: 'lockstep status --json',
  async run(context) {
    const db = await context.database()
    const catalog = await context.catalog()
    const { store, identity, problem } = await openedStore(context)
    const { views: freshness, oldestWriter } = await readFreshness(db, store, catalog, Date.now() * 1000)
    const servedTo = Date.now() * 1000
    const ages = await readServedAges(db, { from: servedTo - servedMicros, to: servedTo })
    const late = freshness.flatMap((view) => view.late ?? [])
    const setAside = freshness.flatMap(setAsideLines)
    const failing = freshness.flatMap(({ view, failing: runs }) => (runs === null ? [] : [failingText(view, runs)]))
    const served = [...catalog.online].flatMap((id) => catalog.views.get(id) ?? [])
    const notReady = store === null ? [] : await findIncompleteViews({ ...store, owner: createCheckpointOwner(() => db) }, served)
    // the process that serves an embedded database keeps it current
    const worker = isEmbedded(db) || context.config.redisUrl === null ? null : await hasWorker(db)
    const removing = identity === null ? [] : await pendingRemovals(db, identity)
    const erasing = await pendingErasures(db)
    const runs = (await materializationStatus(db, Date.now())).filter((run) => identity === null || run.store === identity)
    const views = [...catalog.views.values()].map((plan) => ({
      plan,
      online: catalog.online.has(plan.id),
      run: runs.find((run) => run.view === plan.id && run.fingerprint === plan.fingerprint) ?? null,
      fresh: freshness.find(({ view }) => view === plan.id) ?? null,
    }))
    const sources = [...catalog.sources.values()].map(({ name, relation }) => ({ name, relation, files: catalog.files.get(name) ?? null }))
    const models = [...catalog.models.values()].map(({ name, spec, versions }) => ({
      name,
      service: spec.service,
      versions: versions.map(({ version }) => version),
    }))
    const datasets = (await readDatasets(db)).map(withoutManifest)
    const jobs = await jobStatus(context, identity)
    const streams = await streamStatus(db, catalog.streams, context.config)
    const broken = [...catalog.broken].map(([id, { code, message }]) => ({ id, code, message }))

    return {
      json: {
        database: db.kind,
        store: { kind: context.config.redisUrl === null ? 'embedded' : 'redis', identity, problem },
        revision: catalog.revision,
        views: views.map(({ plan, online, run, fresh }) => ({
          id: plan.id,
          fingerprint: plan.fingerprint,
          online,
          availability: plan.spec.availability,
          lastRun: run === null ? null : { ...run, moment: formatTimestamp(run.moment) },
          freshness: fresh === null ? null : freshnessJson(fresh),
          served: ages.byView.get(plan.id) ?? null,
        })),
        oldestTransaction: oldestWriter,
        services: [...catalog.services.keys()],
        sources,
        streams,
        models,
        datasets,
        notReady,
        worker,
        removing,
        erasing,
        broken,
        ...jobStatusJson(jobs),
      },
      text: [
        `Registry at revision ${catalog.revision}, in ${databaseName(context.config).replace(/^T/, 't')}.`,
        ...(problem === null ? [] : [`The online store does not answer: ${problem}`]),
        ...streamProblems(streams),
        ...broken.map(({ id, code, message }) => `broken: ${id}: ${code}: ${message}`),
        ...(worker === false && served.length > 0 ? [`no worker: ${noWorker}`] : []),
        ...notReady.map(({ problem: lack }) => `not ready: ${lack}`),
        ...removing.map(
          ({ view, removed }) => `being deleted from the online store: ${view}, ${counted(removed, 'key')} so far; a worker continues`,
        ),
        ...(erasing === 0 ? [] : [`${counted(erasing, 'erasure')} not finished: a worker continues, or any "lockstep erase"`]),
        ...jobStatusLines(jobs),
        section(
          ['VIEW', 'ONLINE', 'FRESHNESS', 'MATERIALIZED AS OF', 'LAST RUN', 'LAST RUN FOLDED', 'NEWEST ROW', 'LAG', 'MAY BE'],
          views.map(viewRow),
        ),
        section(servedHeader(ages), servedRows(ages, freshness)),
        ...late.map((each) => `late: ${each}`),
        ...failing.map((each) => `failing: ${each}`),
        ...setAside,
        ...(oldestWriter === null ? [] : [oldestWriterText(oldestWriter)]),
        section(
          ['SOURCE', 'READS'],
          sources.map(({ name, relation, files }) => [name, files === null ? relationText(relation) : filesName(files)]),
        ),
        section(
          streamHeader,
          streams.map((each) => streamRow(each, Date.now())),
        ),
        section(
          ['MODEL', 'SERVICE', 'VERSIONS'],
          models.map(({ name, service, versions }) => [name, service, versions.length === 0 ? 'none' : versions.join(', ')]),
        ),
        section(
          ['TRAINING SET', 'SERVICE', 'ROWS', 'CREATED (UTC)', 'FILE'],
          datasets.map((each) => [each.id, each.service, count(each.rows), moment(each.createdAt), each.path]),
        ),
        `${counted(views.length, 'view')}, ${counted(sources.length, 'source')}, ${counted(models.length, 'model')}, ${counted(datasets.length, 'training set')}.`,
      ]
        .filter((part) => part !== '')
        .join('\n'),
      exitCode: late.length > 0 || failing.length > 0 || setAside.length > 0 ? 1 : 0,
    }
  },
}

/** The identity of the store. A store that is down does not hide the rest of the status. */
async function openedStore(context: Context): Promise<{ store: OnlineStore | null; identity: string | null; problem: string | null }> {
  try {
    const store = await context.store()
    return { store, identity: await store.identity(), problem: null }
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'REDIS_UNAVAILABLE') return { store: null, identity: null, problem: error.message }
    throw error
  }
}

interface ViewState {
  readonly plan: ViewPlan
  readonly online: boolean
  readonly run: MaterializationStatus | null
  readonly fresh: ViewFreshness | null
}

function viewRow({ plan, online, run, fresh }: ViewState): string[] {
  const { availability } = plan.spec
  const last =
    run === null
      ? ['never', '', '']
      : [formatTimestamp(run.moment), ago(run.ageMs), `${counted(run.rows, 'row')}, ${counted(run.entities, 'entity', 'entities')}`]
  const when = availability.kind === 'continuous' ? 'continuous' : availability.schedule
  return [plan.id, online ? 'yes' : 'no', when, ...last, ...(fresh === null ? [] : freshnessCells(fresh))]
}

function relationText(relation: { readonly kind: string; readonly table?: string; readonly sql?: string }): string {
  return relation.table ?? relation.sql?.replace(/\s+/g, ' ').slice(0, 80) ?? 'its own table'
}

function section(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? '' : `\n${table(header, rows)}`
}
