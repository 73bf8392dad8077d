import { formatShare } from '../../kernel/values/format-number.ts'
import { materializationStatus } from '../../materializer/status.ts'
import { failingChannels } from '../../monitoring/alerts/deliver/deliver-alerts.ts'
import type { ProblemSources } from '../../monitoring/problems/find-problems.ts'
import { problemsOf, readProblemSources } from '../../monitoring/problems/find-problems.ts'
import type { GroupedProblem } from '../../monitoring/problems/problem.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { TableChange } from '../../registry/changes/owned-table.ts'
import { planStoredSources } from '../../registry/changes/plan-sources.ts'
import { durationText } from '../../kernel/values/duration.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { loggedShare } from '../../runtime/settings/log-shares.ts'
import type { Config } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isEmbedded } from '../../runtime/postgres/database.ts'
import { hasWorker } from '../../runtime/postgres/worker-sessions.ts'
import { setAsideLines } from '../text/freshness-text.ts'
import { ago, counted } from '../text/human.ts'
import { problemSentences } from '../text/problem-text.ts'
import type { Answer } from './check.ts'
import { note, ok, skipped, wrong } from './check.ts'

export function checkRegistry({ revision, views, services, models, broken }: Catalog): Answer[] {
  const holds = [counted(views.size, 'view'), counted(services.size, 'service'), counted(models.size, 'model')].join(', ')
  const problems = [...broken].map(([id, { message }]) => wrong(`${id} cannot be used: ${message}`))
  if (problems.length > 0) return problems
  return [views.size === 0 ? note('It is empty: run "lockstep apply FILE".') : ok(`Revision ${revision}: ${holds}.`)]
}

/** Whether the tables and queries of the sources are still as declared, as `plan` compares them. */
export async function checkSources({ kysely }: Database): Promise<Answer[]> {
  const { problems, tables, found } = await planStoredSources(kysely)
  const answers = [
    ...problems.map(({ message }) => wrong(message)),
    ...tables.flatMap((change) => {
      if (change.kind === 'none') return []
      const text = `The table ${change.relation} of the source "${change.source}" ${lackOf(change)}. Run "lockstep apply FILE".`
      return [change.kind === 'addIndexes' ? note(text) : wrong(text)]
    }),
  ]
  if (answers.length > 0) return answers
  return [
    ok(found.size === 0 ? 'No source is declared.' : `${counted(found.size, 'source')}: tables and queries have the declared columns.`),
  ]
}

function lackOf({ kind, columns, indexes }: TableChange): string {
  if (kind === 'create') return 'does not exist'
  return kind === 'addColumns' ? `lacks the columns ${quotedNames(columns)}` : `lacks the indexes ${quotedNames(indexes)}`
}

/** The problems of the online views and of what keeps them current, each cause once, as the dashboard has them. */
export async function readProblems(db: Database, store: OnlineStore, catalog: Catalog): Promise<FoundProblems> {
  // "lockstep serve" keeps the views of an embedded database current
  const needsWorker = !isEmbedded(db)
  const now = Date.now() * 1000
  const sources = await readProblemSources({ db, store, catalog, now, lacksWorker: needsWorker && !(await hasWorker(db)) })
  return { sources, problems: problemsOf(catalog, sources, now) }
}

export interface FoundProblems {
  readonly sources: ProblemSources
  readonly problems: readonly GroupedProblem[]
}

/** Whether the store holds the online views completely, and as fresh as they declare. */
export function checkViews({ online }: Catalog, { sources, problems }: FoundProblems): Answer[] {
  if (online.size === 0) return [ok('No view is online.')]
  const own = problems.filter(({ id, link }) => id === 'store' || link.kind === 'view')
  // each entity that is set aside is named
  const answers = own.filter(({ id }) => !id.startsWith('set aside in ')).map((problem) => wrong(problemSentences(problem).join(' ')))
  answers.push(...sources.views.flatMap(setAsideLines).map(wrong))
  if (answers.length > 0) return answers
  const late = sources.views.filter((view) => view.late !== null).length
  if (late > 0) return [skipped(`${counted(late, 'view')} ${late === 1 ? 'is' : 'are'} late, which follows from another line.`)]
  return [ok(`${counted(online.size, 'online view')}: all materialized, none late.`)]
}

/** Who keeps the online views current. */
export async function checkWorker(db: Database, catalog: Catalog, { problems }: FoundProblems): Promise<Answer> {
  if (isEmbedded(db)) return ok('"lockstep serve" keeps the views of an embedded database current.')
  if (catalog.online.size === 0) return ok('No view is online, so none is needed.')
  const missing = problems.find(({ id }) => id === 'worker')
  if (missing === undefined) return ok('A worker is connected.')
  const runs = await materializationStatus(db, Date.now())
  const last = Math.min(...runs.map(({ ageMs }) => ageMs))
  const [what, ...follows] = problemSentences(missing)
  const text = [what, `The last run of a view ${Number.isFinite(last) ? `was ${ago(last)}` : 'is not known'}.`, ...follows].join(' ')
  return follows.length > 0 ? wrong(text) : note(text)
}

/** Alerts that fire and jobs that failed in the last day for good, except those that follow from another line. */
export function checkAlerts({ sources, problems }: FoundProblems): Answer[] {
  const own = problems.filter(({ link }) => link.kind === 'alert' || link.kind === 'job')
  if (own.length > 0) return own.map((problem) => note(problemSentences(problem).join(' ')))
  const count = sources.alerts.length + sources.failed.length
  return [
    ok(
      count === 0 ? 'None fires. No job failed in the last day, or a later run of its schedule succeeded.' : 'All follow from other lines.',
    ),
  ]
}

/** Channels that have failed for a minute: otherwise only the log of a worker says that nobody is notified. */
export async function checkChannels(db: Database): Promise<Answer[]> {
  const failing = await failingChannels(db)
  if (failing.length === 0) return [ok('No notification of an alert waits for a channel that fails.')]
  return failing.map(({ channel, waiting, since, error }) =>
    wrong(
      `The channel "${channel}" fails: ${counted(waiting, 'notification')} ${waiting === 1 ? 'waits' : 'wait'}. The oldest was made ${ago(Date.now() - since.getTime())}. The last error: ${sentence(error)} To test it: lockstep alert test ${channel}`,
    ),
  )
}

const sentence = (text: string): string => (text.endsWith('.') ? text : `${text}.`)

/** Outcomes are matched with the predictions that servers log and keep. */
export function checkOutcomes(
  { outcomes }: Catalog,
  { logShares, logRetentionDays }: Pick<Config, 'logShares' | 'logRetentionDays'>,
): Answer[] {
  const answers = [...outcomes.values()].flatMap(({ spec: { name, model, withinMicros } }) => {
    const share = loggedShare(logShares, model)
    const days = withinMicros / 86_400_000_000
    return [
      ...(share >= 1
        ? []
        : [
            note(
              `The outcome "${name}" is matched with logged predictions, and ${formatShare(share)} of "${model}" are logged here. For all, set LOCKSTEP_LOG_PREDICTIONS=${model}=1.`,
            ),
          ]),
      ...(days < logRetentionDays
        ? []
        : [
            note(
              `The outcome "${name}" may take ${durationText(withinMicros)}, but predictions are kept for ${logRetentionDays} days, so none is ever mature. Set LOCKSTEP_LOG_RETENTION_DAYS to more.`,
            ),
          ]),
    ]
  })
  if (answers.length > 0) return answers
  return [ok(outcomes.size === 0 ? 'No outcome is declared.' : `${counted(outcomes.size, 'outcome')}: all predictions are logged.`)]
}

/** A pin is meant for an emergency, and easily forgotten: a promotion has no effect meanwhile. */
export function checkModels({ models }: Catalog): Answer[] {
  const pins = [...models.values()].flatMap(({ name, pin }) => (pin === null ? [] : [pinned(name, pin)]))
  return [checkVersions(models), ...pins]
}

function pinned(name: string, version: number): Answer {
  return note(`"${name}" is pinned to version ${version}, whatever its champion is. Unpin it: lockstep model unpin ${name}`)
}

function checkVersions(models: Catalog['models']): Answer {
  const without = [...models.values()].filter(({ versions }) => versions.length === 0).map(({ name }) => name)
  if (without.length === 0)
    return ok(models.size === 0 ? 'No model is declared.' : `${counted(models.size, 'model')}, each with a version.`)
  return note(`Without a version: ${without.join(', ')}. Push one: lockstep model push ${without[0]} FILE.`)
}
