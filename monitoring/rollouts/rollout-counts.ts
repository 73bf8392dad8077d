import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sleep } from '../../runtime/async.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import type { Logger } from '../../runtime/log.ts'
import { uniqueProcessName } from '../../runtime/process-name.ts'
import type { Role } from '../role.ts'
import { SideCounts } from './side-counts.ts'
import { isCompared } from './unit-chance.ts'

/**
 * Counts what this process answers for models that roll out by a plan, by revision of the rollout, and writes the sums
 * every second. A process that is killed loses the last second.
 */
export interface RolloutCounts {
  /**
   * Rows that a version answered.
   *
   * @param ms how long that took
   * @param place of the unit of the first row; absent: the rollout did not route it
   */
  answered(model: string, version: number, role: Role, rows: number, ms: number, place?: number): void
  failed(model: string, version: number, role: Role, error: unknown): void
  /** The champion answered rows in place of a version. */
  bypassed(model: string, version: number, rows: number): void
  /** This process begins to bypass a version. */
  bypassBegan(model: string, version: number): void
  flush(): Promise<void>
  close(): Promise<void>
}

export interface RolloutCountsDeps {
  /** The present catalog; null: none is loaded. */
  readonly catalog: () => Pick<Catalog, 'models'> | null
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  readonly log: Logger
}

interface Counted {
  readonly rollout: number
  readonly revision: number
  readonly sides: { readonly candidate: SideCounts; readonly champion: SideCounts }
  isDirty: boolean
}

const flushMs = 1000
const closeMs = 2000

export function createRolloutCounts({ catalog, database, log }: RolloutCountsDeps): RolloutCounts {
  const process = uniqueProcessName()
  /** By model: of the present revision of its rollout. */
  const present = new Map<string, Counted>()
  /** Counts of earlier revisions that are not written yet. */
  let ended: Counted[] = []
  let timer: NodeJS.Timeout | null = null
  let flushing: Promise<void> | null = null
  let isClosed = false

  /** The rollout by which the model's requests are counted; null: none. */
  function rolloutOf(model: string): Rollout | null {
    const { rollout = null, pin = null } = catalog()?.models.get(model) ?? {}
    // the pinned version answers as the champion does, and may be another one
    return rollout === null || rollout.plan === null || pin !== null ? null : rollout
  }

  function sideOf(model: string, version: number, role: Role): SideCounts | null {
    const rollout = rolloutOf(model)
    if (rollout === null) return null
    const side = role === 'canary' && version === rollout.version ? 'candidate' : role === 'champion' ? 'champion' : null
    if (side === null) return null
    let counted = present.get(model)
    if (counted === undefined || counted.rollout !== rollout.id || counted.revision !== rollout.revision) {
      if (counted?.isDirty === true) ended.push(counted)
      const sides = { candidate: new SideCounts(), champion: new SideCounts() }
      present.set(model, (counted = { rollout: rollout.id, revision: rollout.revision, sides, isDirty: true }))
    }
    counted.isDirty = true
    if (timer === null && !isClosed) timer = setTimeout(() => void flush(), flushMs).unref()
    return counted.sides[side]
  }

  async function write(): Promise<void> {
    const waiting = [...ended, ...[...present.values()].filter(({ isDirty }) => isDirty)]
    ended = []
    try {
      for (const counted of waiting) {
        counted.isDirty = false
        await writeCounts(database(), process, counted)
        faultPoint('rollout: counts written')
      }
    } catch (error) {
      for (const counted of waiting) counted.isDirty = true
      ended.push(...waiting.filter((counted) => ![...present.values()].includes(counted)))
      log.warn({ error: messageOf(error) }, 'counts of rollouts cannot be written')
      if (!isClosed) timer ??= setTimeout(() => void flush(), flushMs).unref()
    }
  }

  function flush(): Promise<void> {
    clearTimeout(timer ?? undefined)
    timer = null
    return (flushing ??= write().finally(() => (flushing = null)))
  }

  return {
    answered(model, version, role, rows, ms, place) {
      const side = sideOf(model, version, role)
      if (side === null) return
      side.requests++
      side.rows += rows
      const share = rolloutOf(model)?.share ?? 1
      side.latency.observe(ms, place !== undefined && isCompared(place, share) ? place : undefined)
    },
    failed(model, version, role, error) {
      const side = version === 0 ? null : sideOf(model, version, role)
      if (side === null) return
      side.requests++
      side.addError(error instanceof LockstepError ? error.code : 'INTERNAL')
    },
    bypassed(model, version, rows) {
      const side = sideOf(model, version, 'canary')
      if (side !== null) side.bypassedRows += rows
    },
    bypassBegan(model, version) {
      const side = sideOf(model, version, 'canary')
      if (side !== null) side.bypasses++
    },
    flush,
    async close() {
      isClosed = true
      clearTimeout(timer ?? undefined)
      if (ended.length === 0 && ![...present.values()].some(({ isDirty }) => isDirty)) return
      await Promise.race([(flushing ?? Promise.resolve()).then(flush), sleep(closeMs, { ref: false })])
    },
  }
}

/** A rollout may have been deleted with its model. */
async function writeCounts(db: Database, process: string, { rollout, revision, sides }: Counted): Promise<void> {
  await db.query(
    `INSERT INTO lockstep.rollout_counts (rollout, revision, side, process, counts)
     SELECT $1, $2, c.side, $3, decode(c.counts, 'hex') FROM unnest($4::text[], $5::text[]) AS c (side, counts)
     WHERE EXISTS (SELECT FROM lockstep.rollouts WHERE id = $1)
     ON CONFLICT (rollout, revision, side, process) DO UPDATE SET counts = excluded.counts`,
    [
      rollout,
      revision,
      process,
      ['candidate', 'champion'],
      [sides.candidate.encode().toString('hex'), sides.champion.encode().toString('hex')],
    ],
  )
}

/** The sums of all processes, of one revision or of all before it. */
export async function readCounts(
  db: Pick<Database, 'query'>,
  rollout: number,
  revision: number,
  which: 'of' | 'before',
): Promise<{ readonly candidate: SideCounts; readonly champion: SideCounts }> {
  const rows = await db.query<{ readonly side: 'candidate' | 'champion'; readonly counts: Buffer }>(
    `SELECT side, counts FROM lockstep.rollout_counts WHERE rollout = $1 AND revision ${which === 'of' ? '=' : '<'} $2`,
    [rollout, revision],
  )
  const sums = { candidate: new SideCounts(), champion: new SideCounts() }
  for (const { side, counts } of rows) {
    const own = SideCounts.decode(counts)
    if (own !== null) sums[side].merge(own)
  }
  return sums
}
