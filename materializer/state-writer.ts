import type { EntityKey } from '../kernel/values/entity-key.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { OverCap } from '../kernel/states/over-cap.ts'
import { overCapError } from '../kernel/states/over-cap.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { OnlineStore } from '../online/store.ts'
import { faultPoint } from '../runtime/fault-point.ts'
import type { SetAsideEntity } from './set-aside.ts'
import { maxSetAside } from './set-aside.ts'

const errorsKept = 5
const entitiesPerWrite = 500
const bytesPerWrite = 8 * 1024 * 1024

export interface FoldedEntity {
  readonly key: EntityKey
  /** `stateHead` of the stored state that it was folded from; null where there was none. */
  readonly expected: Buffer | null
  readonly bytes: Buffer
  /** How many rows were folded into it. */
  readonly rows: number
  /** Absent: a state, unless it is set aside. */
  readonly over?: OverCap
  readonly aside?: LockstepError
}

/** Writes folded entities in batches: one batch is being written while the next one fills. */
export interface StateWriter {
  add(entity: FoldedEntity): Promise<void>
  /** Adds a key to the refused ones without a write: its rows must be read again. */
  refuse(key: EntityKey): void
  /** Waits for all writes and returns the refused keys, including those that somebody else wrote first. */
  drain(): Promise<EntityKey[]>
  /** What has been stored so far. */
  readonly stored: Stored
}

export interface Stored {
  readonly rows: number
  readonly entities: number
  readonly tooLarge: NotKept
  readonly setAside: readonly SetAsideEntity[]
}

/**
 * Entities whose state is not kept, because it is over the view's cap or cannot be made, and the errors of the first of
 * them.
 */
export interface NotKept {
  readonly entities: number
  readonly errors: readonly LockstepError[]
}

/** Called where entities were not kept. */
export type NotKeptListener = (view: DefinitionId, notKept: NotKept) => void

export function notKept(errors: readonly LockstepError[]): NotKept {
  return { entities: errors.length, errors: errors.slice(0, errorsKept) }
}

export function reportNotKept(view: DefinitionId, { tooLarge, setAside }: Stored, listener: NotKeptListener | undefined): void {
  if (tooLarge.entities > 0) listener?.(view, tooLarge)
  if (setAside.length > 0) listener?.(view, notKept(setAside.map(({ error }) => error)))
}

export function createStateWriter(store: OnlineStore, plan: ViewPlan): StateWriter {
  const [view, entity] = [plan.id, plan.spec.entity.name]
  const tooLarge = { entities: 0, errors: [] as LockstepError[] }
  const setAside: SetAsideEntity[] = []
  const stored = { rows: 0, entities: 0, tooLarge, setAside }
  let batch: FoldedEntity[] = []
  let bytes = 0
  let underWay: Promise<void> = Promise.resolve()
  let refused: EntityKey[] = []

  async function write(entities: readonly FoldedEntity[]): Promise<void> {
    if (entities.length === 0) return
    faultPoint('states: to be written')
    const outcome = await store.write(entities.map(({ key, expected, bytes }) => ({ view, entity, key, expected, bytes })))
    faultPoint('states: written')
    for (const [i, { key, rows, over, aside }] of entities.entries()) {
      if (outcome[i] !== true) {
        refused.push(key)
      } else if (aside !== undefined) {
        setAside.push({ key, error: aside })
        if (setAside.length > maxSetAside) throw tooManyAside(plan, aside)
      } else if (over === undefined) {
        stored.rows += rows
        stored.entities++
      } else {
        if (tooLarge.entities++ < errorsKept) tooLarge.errors.push(overCapError(plan, key, over))
      }
    }
  }

  async function turn(): Promise<void> {
    const full = batch
    batch = []
    bytes = 0
    await underWay
    underWay = write(full)
    // Its failure is reported by the next `turn` or `drain`, which waits for it.
    underWay.catch(() => {})
  }

  return {
    stored,
    async add(folded) {
      batch.push(folded)
      bytes += folded.bytes.length
      if (batch.length >= entitiesPerWrite || bytes >= bytesPerWrite) await turn()
    },
    refuse(key) {
      refused.push(key)
    },
    async drain() {
      await turn()
      await underWay
      const keys = refused
      refused = []
      return keys
    },
  }
}

function tooManyAside({ id }: ViewPlan, { code, message }: LockstepError): LockstepError {
  return new LockstepError(
    code,
    `The rows of over ${maxSetAside} entities of the view "${id}" cannot be folded, so the run stopped and the view stays as it is. The source or the view has a fault. Correct or delete the rows, or raise the version of the view and leave such rows out: by a query as the source, or by a transform that returns null. One of them: ${message}`,
  )
}
