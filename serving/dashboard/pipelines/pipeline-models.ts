import { measuredText } from '../../../kernel/values/duration.ts'
import { dayMicros, hourMicros } from '../../../kernel/values/time.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { countLettersByReason, listDeadLetters } from '../../../materializer/streams/dead-letters.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { Inventory } from '../../../registry/find/inventory.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { keptDays } from '../../streaming/pipeline-minutes.ts'
import type { PipelineActivity, PipelineMinute } from '../../streaming/read-pipeline-minutes.ts'
import { readPipelineActivity, readPipelineMinutes } from '../../streaming/read-pipeline-minutes.ts'
import type { DeclaredPipelines, PipelineStatus } from '../../streaming/pipeline-status.ts'
import { pipelineStatuses } from '../../streaming/pipeline-status.ts'
import { readPipelineState } from '../../streaming/pipeline-state.ts'
import { letterSource } from '../../streaming/batch-runner.ts'
import type { Chart } from '../contract/answer.ts'
import type { PipelineData, PipelineLine } from '../contract/pipelines.ts'
import { deadLetters as deadLettersContract, pipeline as pipelineContract, pipelines as pipelinesContract } from '../contract/pipelines.ts'
import { rounded } from '../models/traffic-charts.ts'
import { findThen, registryNotes, registryAtMoment } from '../past-registry.ts'
import type { Ask, ReadModel } from '../read-model.ts'
import { readModel } from '../read-model.ts'

const chartMicros = 6 * hourMicros
const maxLetters = 100

export const pipelinesModel = readModel({
  path: '/pipelines',
  scope: 'ui:read',
  data: pipelinesContract,
  read: async (ask) => ({
    data: { pipelines: await pipelineLines(ask) },
    notes: ask.isPast ? [...registryNotes((await registryAtMoment(ask)).past), ...unrecorded] : [],
  }),
})

/** What a page of pipelines says of a past moment. */
const unrecorded = [
  `Dead letters that were retried, dropped or forgotten since are missing. What processes did is kept for ${keptDays} days.`,
]

export const pipelineModel = readModel({
  path: '/pipelines/:id',
  scope: 'ui:read',
  data: pipelineContract,
  async read(ask) {
    const { db, now, isPast, params } = ask
    const { declared, name, notes } = await declaredThen(ask, params['id'] ?? '')
    const status = (await pipelineStatuses(db, declared, isPast ? new Date(now / 1000) : undefined)).find((each) => each.name === name)
    if (status === undefined) throw new LockstepError('INTERNAL', `The pipeline "${name}" has no status.`)
    const activity = (await readPipelineActivity(db, now)).get(name)
    const minutes = await readPipelineMinutes(db, name, { from: now - chartMicros, to: now })
    const { group, guarantee, ledger, replays, replayedAt, replayedFrom } = status
    const data: PipelineData = {
      pipeline: lineOf(ask, status, activity),
      group,
      guarantee: guarantee === null ? null : `An answer is written ${guarantee}.`,
      ledger,
      replays,
      replayedAt,
      replayedFrom,
      ...chartsOf(minutes),
      dead: await deadByReason(ask, letterSource(name)),
      sourceDead: totalOf(await countLettersByReason(db, status.source, untilOf(ask))),
      revision: await pipelineRevision(db, name),
    }
    return { data, notes: isPast ? [...notes, ...unrecorded] : [] }
  },
})

/** The pipelines of the page's moment, with one of them. @throws LockstepError `UNKNOWN_DEFINITION` */
async function declaredThen(
  ask: Ask,
  id: string,
): Promise<{ readonly declared: DeclaredPipelines; readonly name: string; readonly notes: readonly string[] }> {
  const catalog = ask.deps.catalog()
  if (!ask.isPast) return { declared: catalog, name: catalog.pipeline(id).spec.name, notes: [] }
  const { inventory, node, notes } = await findThen(ask, id, ['pipeline'], 'current')
  return { declared: declaredIn(inventory), name: node.name, notes }
}

function declaredIn({ definitions }: Inventory): DeclaredPipelines {
  const present = definitions.filter(({ retired }) => !retired)
  return {
    pipelines: new Map(present.flatMap(({ kind, name, spec }) => (kind === 'pipeline' ? [[name, { spec, description: null }]] : []))),
    streams: new Map(
      present.flatMap(({ kind, name, operational }) =>
        kind === 'source' && operational.stream !== undefined ? [[name, operational.stream]] : [],
      ),
    ),
  }
}

/** @param sourceOf whose letters these are, of the name in the path */
const deadLettersOf = (path: string, sourceOf: (catalog: Catalog, name: string) => string): ReadModel =>
  readModel({
    path,
    scope: 'explain:read',
    data: deadLettersContract,
    isPersonal: true,
    async read(ask) {
      const { db, deps, params } = ask
      const source = sourceOf(deps.catalog(), params['id'] ?? '')
      const until = untilOf(ask)
      const letters = await listDeadLetters(db, { source, until, limit: maxLetters })
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
          total: totalOf(await countLettersByReason(db, source, until)),
        },
      }
    },
  })

export const deadLettersModel = deadLettersOf('/pipelines/:id/dead-letters', (catalog, name) =>
  letterSource(catalog.pipeline(name).spec.name),
)
export const sourceDeadLettersModel = deadLettersOf('/sources/:id/dead-letters', (catalog, name) => catalog.source(name).name)

/** The dead letters of a source or a pipeline that had come by the page's moment, and are still kept. */
export async function deadByReason(ask: Pick<Ask, 'db' | 'now' | 'isPast'>, source: string): Promise<PipelineData['dead']> {
  return (await countLettersByReason(ask.db, source, untilOf(ask))).map(({ lastAt, ...rest }) => ({
    ...rest,
    lastAt: lastAt.toISOString(),
  }))
}

/** The moment of a past page; undefined: now. */
function untilOf({ now, isPast }: Pick<Ask, 'now' | 'isPast'>): Date | undefined {
  return isPast ? new Date(now / 1000) : undefined
}

function totalOf(counts: readonly { readonly count: number }[]): number {
  return counts.reduce((sum, { count: some }) => sum + some, 0)
}

/** Another one after each pause, resumption and replay. */
export async function pipelineRevision(db: Pick<Database, 'kysely'>, name: string): Promise<string> {
  const { generation, pausedAt } = await readPipelineState(db, name)
  return `${generation}.${pausedAt?.getTime() ?? 'runs'}`
}

/** All pipelines as they run at the page's moment, by name. */
export async function pipelineLines(ask: Ask): Promise<PipelineLine[]> {
  const { db, deps, now, isPast } = ask
  const declared = isPast ? declaredIn((await registryAtMoment(ask)).inventory) : deps.catalog()
  if (declared.pipelines.size === 0) return []
  const activity = await readPipelineActivity(db, now)
  const statuses = await pipelineStatuses(db, declared, isPast ? new Date(now / 1000) : undefined)
  return statuses.map((status) => lineOf(ask, status, activity.get(status.name)))
}

function lineOf({ deps, now, isPast }: Ask, status: PipelineStatus, activity: PipelineActivity | undefined): PipelineLine {
  const { name, source, model, version, reads, writesTo, deadLetters } = status
  const { workers = 0, lag = null, perSecond = 0, oldestSeconds = 0, lastError = null } = activity ?? {}
  const isForgotten = activity === undefined && now < deps.clock() - keptDays * dayMicros
  return {
    name,
    ...(isForgotten ? forgotten : stateOf(status, activity, isPast ? tenses.past : tenses.present)),
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

type State = Pick<PipelineLine, 'state' | 'says'>

const forgotten: State = { state: 'not recorded', says: `What processes did is kept for ${keptDays} days, and this is older.` }

const tenses = {
  present: {
    paused: 'It is paused. Messages stay in their stream.',
    noWorker: 'No process runs it. Messages stay in their stream. "lockstep worker" runs all pipelines.',
    waits: 'It waits, and tries again',
    run: ['process runs', 'processes run'],
    waiting: 'messages wait',
  },
  past: {
    paused: 'It was paused. Messages stayed in their stream.',
    noWorker: 'No process ran it. Messages stayed in their stream.',
    waits: 'It waited, and tried again',
    run: ['process ran', 'processes ran'],
    waiting: 'messages waited',
  },
} as const

function stateOf(
  { source, reads, paused }: PipelineStatus,
  activity: PipelineActivity | undefined,
  says: (typeof tenses)['present' | 'past'],
): State {
  if (reads === null) return { state: 'broken', says: `Its source "${source}" has no stream any more.` }
  if (paused) return { state: 'paused', says: says.paused }
  if (activity === undefined || activity.workers === 0) return { state: 'no worker', says: says.noWorker }
  if (activity.failing !== null) return { state: 'waits', says: `${says.waits}: ${activity.failing}` }
  const waiting = activity.lag === null ? '' : `, and ${activity.lag.waiting.toLocaleString('en-US')} ${says.waiting}`
  return { state: 'running', says: `${activity.workers} ${says.run[activity.workers === 1 ? 0 : 1]} it${waiting}.` }
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
      `${count(answered)} answered in 6 hours, and ${dead === 0 ? 'none became a dead letter' : `${count(dead)} became ${dead === 1 ? 'a dead letter' : 'dead letters'}, those of the source included`}.`,
      [
        { label: 'answered', unit: 'perSecond', points: line((each) => (each.answered === null ? null : each.answered / 60)) },
        { label: 'dead letters', unit: 'perSecond', points: line((each) => (each.dead === null ? null : each.dead / 60)) },
      ],
    ),
    lag: chart(`At most ${count(waited)} waited at once.`, [{ label: 'waiting', unit: 'count', points: line((each) => each.waiting) }]),
    age: chart(
      oldest < 1
        ? `The oldest message that was worked on was ${rounded(oldest * 1000)} ms old.`
        : `The oldest message that was worked on was ${measuredText(oldest)} old.`,
      [{ label: 'oldest message', unit: 'seconds', points: line((each) => each.oldestSeconds) }],
    ),
  }
}

function count(messages: number): string {
  return `${messages.toLocaleString('en-US')} ${messages === 1 ? 'message' : 'messages'}`
}
