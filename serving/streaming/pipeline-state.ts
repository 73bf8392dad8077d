import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { asRecord } from '../../kernel/is-record.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { PipelineSpec } from '../../registry/pipeline-spec.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { StreamServers } from '../../runtime/streams/open-consumer.ts'
import { groupOf } from '../../runtime/streams/open-consumer.ts'

/** Whether a pipeline runs, and by which consumer group. */
export interface PipelineState {
  readonly pausedAt: Date | null
  /** How often it was replayed. */
  readonly generation: number
  readonly replayedAt: Date | null
  readonly replayedFrom: string | null
}

/** After so long no process reads by a group that was replaced. */
const unusedMs = 60_000

const initial: PipelineState = { pausedAt: null, generation: 0, replayedAt: null, replayedFrom: null }

type Handle = Pick<Database, 'kysely'>

/** By name; those that were never paused or replayed are left out. */
export async function readPipelineStates({ kysely }: Handle): Promise<Map<string, PipelineState>> {
  const rows = await kysely.selectFrom('lockstep.pipelines').selectAll().execute()
  return new Map(
    rows.map((row) => [
      row.name,
      { pausedAt: row.paused_at, generation: row.generation, replayedAt: row.replayed_at, replayedFrom: row.replayed_from },
    ]),
  )
}

/**
 * As of a moment, by the audit log. Those that were never paused or replayed before are left out, and so are pauses and
 * replays whose entries were deleted since.
 */
export async function readPipelineStatesAt({ kysely }: Handle, moment: Date): Promise<Map<string, PipelineState>> {
  const rows = await kysely
    .selectFrom('lockstep.audit_log')
    .select(['at', 'action', 'subject', 'after'])
    .where('action', 'in', ['pipeline.pause', 'pipeline.resume', 'pipeline.replay'])
    .where('at', '<=', moment)
    .orderBy('id')
    .execute()
  const states = new Map<string, PipelineState>()
  for (const { at, action, subject, after } of rows) {
    const state = states.get(subject) ?? initial
    const { generation, from } = asRecord(after)
    if (action !== 'pipeline.replay') states.set(subject, { ...state, pausedAt: action === 'pipeline.pause' ? at : null })
    else states.set(subject, { ...state, generation: Number(generation), replayedAt: at, replayedFrom: String(from) })
  }
  return states
}

export async function readPipelineState(db: Handle, name: string): Promise<PipelineState> {
  return (await readPipelineStates(db)).get(name) ?? initial
}

/**
 * The stream that a pipeline reads, by the group of its present generation: each replay has its own.
 *
 * @throws LockstepError `NOT_PUSHABLE` if the source has no stream any more
 */
export function pipelineStream(catalog: Pick<Catalog, 'streams'>, pipeline: PipelineSpec, generation: number): StreamSpec {
  const stream = catalog.streams.get(pipeline.source)
  if (stream === undefined)
    throw new LockstepError(
      'NOT_PUSHABLE',
      `The pipeline "${pipeline.name}" reads the source "${pipeline.source}", which has no stream any more. Give the source a stream, or remove the pipeline.`,
    )
  return { ...stream, group: generation === 0 ? pipeline.group : `${pipeline.group}_r${generation}` }
}

/** Workers stop reading within seconds. The batch under way is finished. @returns whether it ran */
export async function pausePipeline(db: Handle, name: string, by: Actor): Promise<boolean> {
  return await setPaused(db, name, true, by)
}

/** @returns whether it was paused */
export async function resumePipeline(db: Handle, name: string, by: Actor): Promise<boolean> {
  return await setPaused(db, name, false, by)
}

async function setPaused({ kysely }: Handle, name: string, paused: boolean, by: Actor): Promise<boolean> {
  return await kysely.transaction().execute(async (transaction) => {
    const before = await readPipelineState({ kysely: transaction }, name)
    if ((before.pausedAt !== null) === paused) return false
    await transaction
      .insertInto('lockstep.pipelines')
      .values({ name, paused_at: paused ? new Date() : null, replayed_at: null, replayed_from: null })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ paused_at: paused ? new Date() : null }))
      .execute()
    await recordAudit({ kysely: transaction }, by, { action: paused ? 'pipeline.pause' : 'pipeline.resume', subject: name })
    return true
  })
}

/** Where a replay begins. */
export type ReplayStart = { readonly atMicros: number } | { readonly position: string }

/**
 * Lets a pipeline read its stream again from somewhere, by a new consumer group. What it answers has the ids that it
 * had before, and is written again. The group of the replay before the last one, which no process reads by, is deleted.
 *
 * @returns the new generation
 * @throws LockstepError `INVALID_REQUEST` for a position that is none, `STREAM_UNAVAILABLE`, `CONFIG_INVALID`
 */
export async function replayPipeline(
  db: Handle,
  config: StreamServers,
  catalog: Catalog,
  pipeline: PipelineSpec,
  start: ReplayStart,
  by: Actor,
): Promise<number> {
  const { name } = pipeline
  const { next, unused } = await db.kysely.transaction().execute(async (transaction) => {
    await transaction
      .insertInto('lockstep.pipelines')
      .values({ name, paused_at: null, replayed_at: null, replayed_from: null })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    // another replay waits
    const { generation, replayed_at: replacedAt } = await transaction
      .selectFrom('lockstep.pipelines')
      .select(['generation', 'replayed_at'])
      .where('name', '=', name)
      .forUpdate()
      .executeTakeFirstOrThrow()
    const next = generation + 1
    const from = 'position' in start ? start.position : formatTimestamp(start.atMicros)
    const group = await groupOf(config, pipelineStream(catalog, pipeline, next))
    await group.begin('position' in start ? start : { atMs: start.atMicros / 1000 })
    await transaction
      .updateTable('lockstep.pipelines')
      .set({ generation: next, replayed_at: new Date(), replayed_from: from })
      .where('name', '=', name)
      .execute()
    await recordAudit({ kysely: transaction }, by, {
      action: 'pipeline.replay',
      subject: name,
      before: { generation },
      after: { generation: next, from },
    })
    const isUnused = replacedAt !== null && Date.now() - replacedAt.getTime() > unusedMs
    return { next, unused: generation >= 2 && isUnused ? generation - 1 : null }
  })
  // a group that cannot be deleted costs little
  if (unused !== null) {
    const group = await groupOf(config, pipelineStream(catalog, pipeline, unused))
    await group.end().catch(() => undefined)
  }
  return next
}
