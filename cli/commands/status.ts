import { LockstepError } from '../../kernel/errors.ts'
import { filesName } from '../../kernel/files-spec.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { pendingErasures } from '../../materializer/erase/finish-erasures.ts'
import { pendingRemovals } from '../../materializer/removals.ts'
import { readServedAges } from '../../monitoring/freshness/served-ages.ts'
import type { MaterializationStatus } from '../../materializer/status.ts'
import { materializationStatus } from '../../materializer/status.ts'
import type { ViewFreshness } from '../../monitoring/freshness/view-freshness.ts'
import { freshnessJson } from '../../monitoring/freshness/view-freshness.ts'
import { readProblemSources } from '../../monitoring/problems/find-problems.ts'
import type { OnlineStore } from '../../online/store.ts'
import { streamStatus } from '../../materializer/streams/stream-status.ts'
import { isEmbedded } from '../../runtime/database.ts'
import { databaseName } from '../../runtime/open-database.ts'
import { oldestWriter } from '../../runtime/oldest-writer.ts'
import { hasWorker } from '../../runtime/worker-sessions.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { readDatasets, withoutManifest } from '../../offline/stored-datasets.ts'
import { freshnessCells, oldestWriterText, servedHeader, servedRows, setAsideLines } from '../freshness-text.ts'
import { ago, count, counted, moment } from '../human.ts'
import { jobStatus, jobStatusJson, jobStatusLines } from '../job-status.ts'
import { problemLines, problemsOf } from '../problem-text.ts'
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
    // the process that serves an embedded database keeps it current
    const worker = isEmbedded(db) || context.config.redisUrl === null ? null : await hasWorker(db)
    const now = Date.now() * 1000
    const known = await readProblemSources({ db, store: store ?? problem ?? '', catalog, now, lacksWorker: worker === false })
    const { views: freshness, lacks: notReady } = known
    const problems = problemsOf(catalog, known, now)
    const oldest = await oldestWriter(db)
    const servedTo = Date.now() * 1000
    const ages = await readServedAges(db, { from: servedTo - servedMicros, to: servedTo })
    const late = freshness.filter((view) => view.late !== null)
    const setAside = freshness.flatMap(setAsideLines)
    const failing = freshness.filter((view) => view.failing !== null)
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
    // what a line of a problem says is not said again
    const failed = new Set(known.failed.map(({ subject }) => subject))
    const deadLetters = jobs.deadLetters.filter(({ view }) => !failed.has(view))
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
        oldestTransaction: oldest,
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
        problems,
        ...jobStatusJson(jobs),
      },
      text: [
        `Registry at revision ${catalog.revision}, in ${databaseName(context.config).replace(/^T/, 't')}.`,
        ...streamProblems(streams),
        ...broken.map(({ id, code, message }) => `broken: ${id}: ${code}: ${message}`),
        // entities that are set aside have lines of their own
        ...problemLines(
          problems.filter(({ id }) => !id.startsWith('set aside in ')),
          known,
        ),
        ...removing.map(
          ({ view, removed }) => `being deleted from the online store: ${view}, ${counted(removed, 'key')} so far; a worker continues`,
        ),
        ...(erasing === 0 ? [] : [`${counted(erasing, 'erasure')} not finished: a worker continues, or any "lockstep erase"`]),
        ...jobStatusLines({ ...jobs, deadLetters }),
        section(
          ['VIEW', 'ONLINE', 'FRESHNESS', 'MATERIALIZED AS OF', 'LAST RUN', 'LAST RUN FOLDED', 'NEWEST ROW', 'LAG', 'MAY BE'],
          views.map(viewRow),
        ),
        section(servedHeader(ages), servedRows(ages, freshness)),
        ...setAside,
        ...(oldest === null ? [] : [oldestWriterText(oldest)]),
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
