import { ByteReader } from '../values/binary.ts'
import type { EntityKey } from '../values/entity-key.ts'
import { cutText } from '../values/cut-text.ts'
import type { ErrorCode } from '../errors.ts'
import { LockstepError } from '../errors.ts'
import type { Frontier } from './frontier.ts'
import { showKey } from '../values/show-key.ts'
import type { StoredHeader } from './stored-state.ts'
import { encodeStored } from './stored-state.ts'
import type { ViewPlan } from '../view-plan.ts'

/** The first byte of a body that replaces a state that could not be built. No state begins with it. */
export const setAsideFlag = 0x81
const maxCharacters = 1_000

/** Why an entity has no state: one of its rows cannot be folded, or too many rows wait. Every run tries again. */
export interface SetAside {
  readonly code: ErrorCode
  readonly message: string
}

/** Failures of one entity's rows, which must not stop other entities. */
const ofOneEntity: ReadonlySet<ErrorCode> = new Set([
  'PENDING_OVERFLOW',
  'TRANSFORM_FAILED',
  'TRANSFORM_TIMEOUT',
  'INVALID_ROW',
  'INVALID_TIME',
])

export function isOfOneEntity(error: unknown): error is LockstepError {
  return error instanceof LockstepError && ofOneEntity.has(error.code)
}

/** @param moment when it failed, epoch microseconds */
export function encodeSetAside({ code, message }: SetAside, frontier: Frontier, moment: number): Buffer {
  const body = {
    highWater: Number.NEGATIVE_INFINITY,
    encode(writer: Parameters<Parameters<typeof encodeStored>[0]['encode']>[0]) {
      writer.byte(setAsideFlag)
      writer.string(code)
      writer.string(cutText(message, maxCharacters))
      writer.int(moment)
    },
  }
  return encodeStored(body, frontier)
}

/** null where something else is stored. */
export function readSetAside(stored: Buffer, { bodyAt }: StoredHeader): SetAside | null {
  if (stored[bodyAt] !== setAsideFlag) return null
  const reader = new ByteReader(stored, bodyAt + 1)
  return { code: reader.string() as ErrorCode, message: reader.string() } // written by encodeSetAside alone
}

/** The error names the entity, the view and the reason. */
export function setAsideError(plan: ViewPlan, key: EntityKey, { code, message }: SetAside): LockstepError {
  const entity = plan.key.length === 0 ? 'The one entity' : `The entity ${showKey(plan.key, key)}`
  return new LockstepError(
    code,
    `${entity} of the view "${plan.id}" is set aside because its rows cannot be folded; the others continue. ${message} The next run retries it.`,
    { details: { view: plan.id, setAside: true } },
  )
}
