import { ByteReader, ByteWriter } from './binary.ts'
import type { EntityKey } from './entity-key.ts'
import { LockstepError } from './errors.ts'
import { showKey } from './show-key.ts'
import type { StoredHeader } from './stored-state.ts'
import { readHeader, sealed } from './stored-state.ts'
import type { ViewPlan } from './view-plan.ts'

/** The first byte of a body that stands in the place of a state that was too large; no state begins with it. */
export const overCapFlag = 0x80
/** The windows of an entity move on: so long after it was found too large, in microseconds, its next row has it looked at again. */
const againAfter = 3_600_000_000

/** What is stored, in place of its state, of an entity whose state is larger than its view's cap: enough to know it by. */
export interface OverCap {
  /** What the state would have taken. */
  readonly bytes: number
  /** When that was found, epoch microseconds: the moment of the run. */
  readonly moment: number
}

/** The stored state, or where it is over the view's cap what stands in its place. */
export function withinCap(plan: ViewPlan, stored: Buffer, moment: number): { readonly stored: Buffer; readonly over: OverCap | null } {
  const { maxStateBytes } = plan.upkeep
  if (maxStateBytes === null || stored.length <= maxStateBytes) return { stored, over: null }
  const over = { bytes: stored.length, moment }
  const writer = new ByteWriter(64)
  const { headEnd, bodyAt } = readHeader(stored, plan.id)
  writer.raw(stored.subarray(0, bodyAt))
  writer.byte(overCapFlag)
  writer.uint(over.bytes)
  writer.int(over.moment)
  return { stored: sealed(writer, headEnd), over }
}

/** What stands in the place of a state that was too large; null where a state is stored. */
export function readOverCap(stored: Buffer, { bodyAt }: StoredHeader): OverCap | null {
  if (stored[bodyAt] !== overCapFlag) return null
  const reader = new ByteReader(stored, bodyAt + 1)
  return { bytes: reader.uint(), moment: reader.int() }
}

/** Whether its entity may have become small enough, or the cap large enough, so that the state is worth making from all its rows. */
export function worthMaking({ upkeep }: ViewPlan, over: OverCap, moment: number): boolean {
  const { maxStateBytes } = upkeep
  return maxStateBytes === null || over.bytes <= maxStateBytes || moment >= over.moment + againAfter
}

/** Says of which entity and view it is and what to do. */
export function overCapError(plan: ViewPlan, key: EntityKey, over: OverCap): LockstepError {
  const { maxStateBytes } = plan.upkeep
  const entity = plan.key.length === 0 ? 'The one entity' : `The entity ${showKey(plan.key, key)}`
  return new LockstepError(
    'STATE_TOO_LARGE',
    `${entity} of the view "${plan.id}" is not in the online store: its state takes ${over.bytes} bytes, but the view's maxStateBytes is ${maxStateBytes}. It is answered from its table, more slowly. Raise maxStateBytes and apply, or shorten the windows in a new version; the next row then stores it again.`,
    { details: { view: plan.id, bytes: over.bytes, maxStateBytes } },
  )
}
