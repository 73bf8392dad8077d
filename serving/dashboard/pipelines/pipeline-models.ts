import { z } from 'zod'
import { formatDuration } from '../../../kernel/duration.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { countLettersByReason, listDeadLetters } from '../../../materializer/streams/dead-letters.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { Database } from '../../../runtime/database.ts'
import type { PipelineActivity, PipelineMinute } from '../../streaming/pipeline-minutes.ts'
import { readPipelineActivity, readPipelineMinutes } from '../../streaming/pipeline-minutes.ts'
import type { PipelineStatus } from '../../streaming/pipeline-status.ts'
import { pipelineStatuses } from '../../streaming/pipeline-status.ts'
import { readPipelineState } from '../../streaming/pipeline-state.ts'
import { letterSource } from '../../streaming/run-pipeline.ts'
import type { Chart } from '../contract/answer.ts'
import type { PipelineData, PipelineLine } from '../contract/pipelines.ts'
import { deadLetters as deadLettersContract, pipeline as pipelineContract, pipelines as pipelinesContract } from '../contract/pipelines.ts'
import { rounded } from '../models/traffic-charts.ts'
import type { ReadModel } from '../read-model.ts'
import { readModel } from '../read-model.ts'

const chartMicros = 6 * 3_600_000_000
const maxLetters = 100

export const pipelinesModel = readModel({
  path: '/pipelines',
  scope: 'ui:read',
  query: z.object({}),
  data: pipelinesContract,
  read: async ({ db, deps, now, isPast }) => ({
    data: { pipelines: await pipelineLines(db, deps.catalog(), now, isPast) },
    notes: isPast ? ['These are the pipelines of now: which there were then is not shown.', ...unrecorded] : [],
  }),
})

/** What a page of pipelines says of a past moment. */
const unrecorded = [
  'State, workers, rate and waiting messages are those of then. Pauses, replays and dead letters that were removed since are not recorded.',
]

export const pipelineModel = readModel({
  path: '/pipelines/:id',
  scope: 'ui:read',
  query: z.object({}),
  data: pipelineContract,
  async read({ db, deps, now, isPast, params }) {
    const { spec } = deps.catalog().pipeline(params['id'] ?? '')
    const { name } = spec
    const status = (await pipelineStatuses(db, deps.catalog())).find((each) => each.name === name)
    if (status === undefined) throw new LockstepError('INTERNAL', `The pipeline "${name}" has no status.`)
    const activity = (await readPipelineActivity(db, now)).get(name)
    const minutes = await readPipelineMinutes(db, name, { from: now - chartMicros, to: now })
    const { group, guarantee, ledger, replays, replayedFrom } = status
    const isReplayed = status.replayedAt !== null && Date.parse(status.replayedAt) <= now / 1000
    const data: PipelineData = {
      pipeline: lineOf(status, activity, isPast),
      group,
      guarantee: guarantee === null ? null : `An answer is written ${guarantee}.`,
      ledger,
      replays,
      replayedAt: isReplayed ? status.replayedAt : null,
      replayedFrom,
      ...chartsOf(minutes),
      dead: await deadByReason(db, letterSource(name)),
      sourceDead: totalOf(await countLettersByReason(db, spec.source)),
      revision: await pipelineRevision(db, name),
    }
    return { data, notes: isPast ? unrecorded : [] }
  },
})

/** @param sourceOf whose letters these are, of the name in the path */
const deadLettersOf = (path: string, sourceOf: (catalog: Catalog, name: string) => string): ReadModel =>
  readModel({
    path,
    scope: 'explain:read',
    query: z.object({}),
    data: deadLettersContract,
    isPersonal: true,
    async read({ db, deps, params }) {
      const source = sourceOf(deps.catalog(), params['id'] ?? '')
      const letters = await listDeadLetters(db, { source, limit: maxLetters })
      return {
        data: {
          letters: letters.map(({ id, message, reason, error, sizeBytes, at }) => ({
            id: String(id),
            message,
            reason,
            error,
            bytes: sizeBytes,
            at: at.toISOString(),
          })),
          total: totalOf(await countLettersByReason(db, source)),
        },
      }
    },
  })

export const deadLettersModel = deadLettersOf('/pipelines/:id/dead-letters', (catalog, name) =>
  letterSource(catalog.pipeline(name).spec.name),
)
export const sourceDeadLettersModel = deadLettersOf('/sources/:id/dead-letters', (catalog, name) => catalog.source(name).name)

/** The dead letters of a source or a pipeline that are kept now. */
export async function deadByReason(db: Pick<Database, 'query'>, source: string): Promise<PipelineData['dead']> {
  return (await countLettersByReason(db, source)).map(({ lastAt, ...rest }) => ({ ...rest, lastAt: lastAt.toISOString() }))
}

function totalOf(counts: readonly { readonly count: number }[]): number {
  return counts.reduce((sum, { count: some }) => sum + some, 0)
}

/** Another one after each pause, resumption and replay. */
export async function pipelineRevision(db: Pick<Database, 'kysely'>, name: string): Promise<string> {
  const { generation, pausedAt } = await readPipelineState(db, name)
  return `${generation}.${pausedAt?.getTime() ?? 'runs'}`
}

/**
 * All pipelines as they run, by name.
 *
 * @param now epoch microseconds
 * @param isPast whether it is another moment than now
 */
export async function pipelineLines(db: Database, catalog: Catalog, now: number, isPast = false): Promise<PipelineLine[]> {
  if (catalog.pipelines.size === 0) return []
  const activity = await readPipelineActivity(db, now)
  return (await pipelineStatuses(db, catalog)).map((status) => lineOf(status, activity.get(status.name), isPast))
}

function lineOf(status: PipelineStatus, activity: PipelineActivity | undefined, isPast: boolean): PipelineLine {
  const { name, source, model, version, reads, writesTo, deadLetters } = status
  const { workers = 0, lag = null, perSecond = 0, oldestSeconds = 0, lastError = null } = activity ?? {}
  return {
    name,
    ...(isPast ? stateThen(activity) : stateOf(status, activity)),
    source,
    model,
    version: version === null ? null : String(version),
    reads,
    writesTo,
    workers,
    waiting: lag?.waiting ?? null,
    pending: lag?.pending ?? null,
    perSecond,
    oldestSeconds,
    deadLetters,
    lastError: lastError === null ? null : { text: lastError.text, at: lastError.at.toISOString() },
  }
}

function stateOf({ source, reads, paused }: PipelineStatus, activity: PipelineActivity | undefined): Pick<PipelineLine, 'state' | 'says'> {
  if (reads === null) return { state: 'broken', says: `Its source "${source}" has no stream any more.` }
  if (paused) return { state: 'paused', says: 'It is paused. Messages stay in their stream.' }
  if (activity === undefined || activity.workers === 0)
    return { state: 'no worker', says: 'No process runs it. Messages stay in their stream. "lockstep worker" runs all pipelines.' }
  if (activity.failing !== null) return { state: 'waits', says: `It waits, and tries again: ${activity.failing}` }
  const waiting = activity.lag === null ? '' : `, and ${activity.lag.waiting.toLocaleString('en-US')} messages wait`
  return {
    state: 'running',
    says: `${activity.workers} ${activity.workers === 1 ? 'process runs' : 'processes run'} it${waiting}.`,
  }
}

/** The state at a past moment, by what processes wrote. */
function stateThen(activity: PipelineActivity | undefined): Pick<PipelineLine, 'state' | 'says'> {
  if (activity === undefined || activity.workers === 0)
    return { state: 'no worker', says: 'No process ran it. Messages stayed in their stream.' }
  if (activity.failing !== null) return { state: 'waits', says: `It waited, and tried again: ${activity.failing}` }
  const waiting = activity.lag === null ? '' : `, and ${activity.lag.waiting.toLocaleString('en-US')} messages waited`
  return { state: 'running', says: `${activity.workers} ${activity.workers === 1 ? 'process' : 'processes'} ran it${waiting}.` }
}

/** What was measured by minute, in the last hours. */
function chartsOf(minutes: readonly PipelineMinute[]): Pick<PipelineData, 'throughput' | 'lag' | 'age'> {
  const line = (of: (minute: PipelineMinute) => number | null) => minutes.map((minute) => ({ t: minute.minute.getTime(), v: of(minute) }))
  const sum = (of: (minute: PipelineMinute) => number | null): number => minutes.reduce((all, minute) => all + (of(minute) ?? 0), 0)
  const most = (of: (minute: PipelineMinute) => number | null): number => Math.max(0, ...minutes.map((minute) => of(minute) ?? 0))
  const answered = sum((each) => each.answered)
  const dead = sum((each) => each.dead)
  const waited = most((each) => each.waiting)
  const oldest = most((each) => each.oldestSeconds)
  const chart = (finding: string, series: Chart['series']): Chart => ({ finding, series })
  return {
    throughput: chart(
      `${count(answered)} answered in 6 hours, and ${dead === 0 ? 'none became a dead letter' : `${count(dead)} became dead letters, those of the source among them`}.`,
      [
        { label: 'answered', unit: 'perSecond', points: line((each) => (each.answered === null ? null : each.answered / 60)) },
        { label: 'dead letters', unit: 'perSecond', points: line((each) => (each.dead === null ? null : each.dead / 60)) },
      ],
    ),
    lag: chart(`At most ${count(waited)} waited at once.`, [{ label: 'waiting', unit: 'count', points: line((each) => each.waiting) }]),
    age: chart(
      oldest < 1
        ? `The oldest message that was worked on was ${rounded(oldest * 1000)} ms old.`
        : `The oldest message that was worked on was ${formatDuration(Math.round(oldest) * 1e6)} old.`,
      [{ label: 'oldest message', unit: 'seconds', points: line((each) => each.oldestSeconds) }],
    ),
  }
}

function count(messages: number): string {
  return `${messages.toLocaleString('en-US')} ${messages === 1 ? 'message' : 'messages'}`
}
