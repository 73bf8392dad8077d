import { messageOf } from '../kernel/errors.ts'
import { upperBound } from '../kernel/states/frontier.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { Checkpoint } from '../online/checkpoint.ts'
import { storedCheckpoints, writeWitness } from '../online/checkpoint.ts'
import { currentXmax, knowsRun } from '../online/checkpoint-owner.ts'
import type { OnlineStore } from '../online/store.ts'
import { knownWitnesses, nextWitness } from '../online/witness.ts'
import { orTimeout } from '../runtime/async.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Logger } from '../runtime/log.ts'

/** How long after a fold its views get a witness, at most. A push costs none of its own. */
const witnessMs = 1_000
const closeMs = 2_000

/** The runs and witnesses that each database knows. */
const known = new WeakMap<Database, Set<string>>()
/** A view has a witness for each second with pushes. */
const maxKnown = 1_000

/** Whether the states are of this definition and of this database, so that a push may be folded into them. */
export async function mayFold(db: Database, plan: ViewPlan, checkpoint: Checkpoint): Promise<boolean> {
  if (checkpoint.removing || !checkpoint.incremental || checkpoint.fingerprint !== plan.fingerprint) return false
  const proofs = known.get(db) ?? new Set()
  known.set(db, proofs)
  const { origin, witness, frontier } = checkpoint
  const proof = `${origin.id} ${origin.startedAt.getTime()} ${witness?.writer ?? ''} ${witness?.number ?? ''}`
  if (!proofs.has(proof)) {
    if (
      !(await knowsRun(db, origin)) ||
      (await knownWitnesses(db, [witness])).includes(false) ||
      upperBound(frontier) > (await currentXmax(db))
    )
      return false
    if (proofs.size >= maxKnown) proofs.clear()
    proofs.add(proof)
  }
  return true
}

/**
 * Gives each view a new witness, after rows were folded into it. A view whose present one the database does not know
 * keeps it, and no push is folded into it any more.
 */
export async function witnessFolds(db: Database, store: OnlineStore, views: readonly DefinitionId[]): Promise<void> {
  for (let left = views; left.length > 0;) {
    const stored = (await storedCheckpoints(store, left)).filter(({ checkpoint }) => !checkpoint.removing)
    if (stored.length === 0) return
    const { witness, known: isKnown } = await nextWitness(
      db,
      await store.identity(),
      stored.map(({ checkpoint }) => checkpoint.witness),
    )
    // not emptied: a check that is under way must not leave its proof to later ones
    if (isKnown.includes(false)) known.delete(db)
    const own = stored.filter((_, i) => isKnown[i] === true)
    const done = await Promise.all(own.map((each) => writeWitness(store, each, witness)))
    left = own.flatMap(({ view }, i) => (done[i] === true ? [] : [view]))
  }
}

/** The continuous views of a fold that were not left to their next run. */
export function foldedViews(plans: readonly ViewPlan[], left: readonly DefinitionId[]): DefinitionId[] {
  return plans.flatMap(({ id, spec }) => (spec.availability.kind === 'continuous' && !left.includes(id) ? [id] : []))
}

/** Gives views a witness soon after pushes were folded into them. */
export interface WitnessKeeper {
  note(views: readonly DefinitionId[]): void
  /** Gives those that wait for one their witness now, unless a store does not answer. */
  close(): Promise<void>
}

export interface WitnessKeeperDeps {
  /** @throws where it is down */
  readonly database: () => Database
  /** @throws where it is down */
  readonly store: () => OnlineStore
  readonly log?: Logger | undefined
}

export function createWitnessKeeper({ database, store, log }: WitnessKeeperDeps): WitnessKeeper {
  const waiting = new Set<DefinitionId>()
  let timer: NodeJS.Timeout | null = null
  let running: Promise<void> = Promise.resolve()
  let closed = false

  async function give(): Promise<void> {
    timer = null
    const views = [...waiting]
    waiting.clear()
    try {
      await witnessFolds(database(), store(), views)
    } catch (error) {
      log?.debug({ views, error: messageOf(error) }, 'views get their witness later')
      note(views)
    }
  }

  function note(views: readonly DefinitionId[]): void {
    for (const view of views) waiting.add(view)
    if (waiting.size === 0 || closed) return
    timer ??= setTimeout(() => (running = give()), witnessMs).unref()
  }

  return {
    note,
    async close() {
      closed = true
      if (timer !== null) clearTimeout(timer)
      await orTimeout(
        running.then(() => (waiting.size === 0 ? undefined : give())),
        closeMs,
      )
    },
  }
}
