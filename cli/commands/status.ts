import { filesName } from '../../kernel/specs/files-spec.ts'
import { databaseName } from '../../runtime/postgres/open-database.ts'
import { registryStatus } from '../../serving/find/registry-status.ts'
import type { StatusAnswer } from '../../serving/protocols/http/health/status-route.ts'
import { statusAnswer } from '../../serving/protocols/http/health/status-route.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { freshnessCells, oldestWriterText, servedHeader, servedRows, setAsideLines } from '../text/freshness-text.ts'
import { ago, count, counted, duration, moment } from '../text/human.ts'
import { problemLines } from '../text/problem-text.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { streamHeader, streamProblems, streamRow } from '../text/stream-status-text.ts'
import { table } from '../text/table.ts'

export const statusCommand: Command = {
  name: 'status',
  summary: 'Show views with their freshness and last run, sources, models and training sets',
  description: [
    'Exits with 1, and says what to do, if a view is further behind its source than its "freshness", if its scheduled run is overdue, if its last three runs have failed, or if one of its entities is set aside.',
  ],
  example: 'lockstep status --json',
  options: { server: serverOption },
  async run(context, input) {
    const server = serverOf(context, input)
    const { status, of } = server === null ? await ownStatus(context) : await serverStatus(server)
    const { views, sources, streams, models, datasets, oldestTransaction, problems, notReady } = status
    const freshness = views.flatMap(({ id, freshness: fresh }) => (fresh === null ? [] : [{ view: id, ...fresh }]))
    const late = freshness.filter((view) => view.late !== null)
    const setAside = freshness.flatMap(setAsideLines)
    const failing = freshness.filter((view) => view.failing !== null)
    return {
      json: status,
      text: [
        `Registry at revision ${status.revision}, ${of}.`,
        ...streamProblems(streams),
        ...status.broken.map(({ id, code, message }) => `broken: ${id}: ${code}: ${message}`),
        // entities that are set aside have lines of their own
        ...problemLines(
          problems.filter(({ id }) => !id.startsWith('set aside in ')),
          { lacks: notReady, views: freshness },
        ),
        ...status.removing.map(
          ({ view, removed }) => `being deleted from the online store: ${view}, ${counted(removed, 'key')} so far; a worker continues`,
        ),
        ...(status.erasing === 0
          ? []
          : [`${counted(status.erasing, 'erasure')} not finished: a worker continues, or any "lockstep erase"`]),
        // what a line of a problem says is not said again
        ...jobStatusLines({ ...status, deadLetters: status.deadLetters.filter(({ isProblem }) => !isProblem) }),
        section(
          ['VIEW', 'ONLINE', 'AVAILABILITY', 'MATERIALIZED AS OF', 'LAST RUN', 'LAST RUN FOLDED', 'NEWEST ROW', 'LAG', 'MAY BE'],
          views.map(viewRow),
        ),
        section(servedHeader(status.servedSince), servedRows(views)),
        ...setAside,
        ...(oldestTransaction === null ? [] : [oldestWriterText(oldestTransaction)]),
        section(
          ['SOURCE', 'READS'],
          sources.map(({ name, relation, files }) => [name, files === null ? relationText(relation) : filesName(files)]),
        ),
        section(
          streamHeader,
          streams.map((each) => streamRow(each, Date.now())),
          context.terminal.width,
        ),
        section(
          ['MODEL', 'SERVICE', 'VERSIONS'],
          models.map(({ name, service, versions }) => [name, service, versions.length === 0 ? 'none' : versions.join(', ')]),
        ),
        section(
          ['TRAINING SET', 'SERVICE', 'ROWS', 'CREATED (UTC)', 'FILE'],
          datasets.map((each) => [each.id, each.service, count(each.rows), moment(new Date(each.createdAt)), each.path]),
        ),
        `${counted(views.length, 'view')}, ${counted(sources.length, 'source')}, ${counted(models.length, 'model')}, ${counted(datasets.length, 'training set')}.`,
      ]
        .filter((part) => part !== '')
        .join('\n'),
      exitCode: late.length > 0 || failing.length > 0 || setAside.length > 0 ? 1 : 0,
    }
  },
}

interface Shown {
  readonly status: StatusAnswer
  /** Where it was read: `in the database "lockstep" at "localhost"`. */
  readonly of: string
}

async function ownStatus(context: Context): Promise<Shown> {
  const [db, catalog, { config }] = [await context.database(), await context.catalog(), context]
  const status = await registryStatus({
    db,
    catalog,
    store: () => context.store(),
    storeKind: config.redisUrl === null ? 'embedded' : 'redis',
    streams: config,
  })
  return { status, of: `in ${databaseName(config).replace(/^T/, 't')}` }
}

async function serverStatus(server: Server): Promise<Shown> {
  const { requestId: _, ...status } = await server.ask('GET', '/v1/status', undefined, statusAnswer)
  return { status, of: `of the server "${server.url}"` }
}

function viewRow({ id, online, availability, lastRun, freshness }: StatusAnswer['views'][number]): string[] {
  const last =
    lastRun === null
      ? ['never', '', '']
      : [lastRun.moment, ago(lastRun.ageMs), `${counted(lastRun.rows, 'row')}, ${counted(lastRun.entities, 'entity', 'entities')}`]
  const when = availability.kind === 'continuous' ? 'continuous' : (availability.schedule ?? '')
  return [id, online ? 'yes' : 'no', when, ...last, ...(freshness === null ? [] : freshnessCells(freshness))]
}

function relationText(relation: StatusAnswer['sources'][number]['relation']): string {
  return relation.table ?? relation.sql?.replace(/\s+/g, ' ').slice(0, 80) ?? 'its own table'
}

/** @param width as `table` takes it */
function section(header: readonly string[], rows: readonly (readonly string[])[], width: number | null = null): string {
  return rows.length === 0 ? '' : `\n${table(header, rows, '', width)}`
}

/** The running backfills, and the scheduled runs of the store that were given up. */
function jobStatusLines({ backfills, deadLetters: letters }: Pick<StatusAnswer, 'backfills' | 'deadLetters'>): string[] {
  return [
    ...backfills.map(({ id, view, chunks, chunksDone, secondsLeft }) => {
      const left = secondsLeft === null ? '' : `, ${duration(secondsLeft * 1000)} left`
      return `backfill ${id} of ${view}: ${chunksDone} of ${chunks} chunks done${left}`
    }),
    ...letters.map(
      ({ view, moment, error, attempts, at }) =>
        `failed: the run of ${view} as of ${moment}, tried ${attempts} times, the last ${ago(Date.now() - Date.parse(at))}: ${error} Fix the cause; the next run then catches up, or run "lockstep materialize ${view}".`,
    ),
  ]
}
