import { LockstepError } from '../../kernel/errors.ts'
import { show } from '../../kernel/values/value-type.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'

export type DslKind =
  | 'entity'
  | 'source'
  | 'featureView'
  | 'viewUse'
  | 'onDemandView'
  | 'onDemandPick'
  | 'featureService'
  | 'model'
  | 'outcome'
  | 'monitor'
  | 'channel'
  | 'experiment'
  | 'batch'
  | 'pipeline'
  | 'training'

/** Descriptions for people, allowed in every definition. They change no value and may change without a new version. */
export interface Description {
  readonly description?: string
  /** A person or team to ask. */
  readonly owner?: string
  /** Words to find it by, such as `['fraud', 'pii']`. */
  readonly tags?: readonly string[]
}

/** A registered symbol, so that two copies of the package recognize each other's definitions. */
const brand: unique symbol = Symbol.for('lockstep.definition') as never

/** Marks a definition and freezes it. */
export function define<T extends { readonly kind: DslKind }>(definition: T): Readonly<T> {
  Object.defineProperty(definition, brand, { value: definition.kind, enumerable: false })
  return Object.freeze(definition)
}

/** The kind of a definition; null for any other value. */
export function definitionKind(value: unknown): DslKind | null {
  if (typeof value !== 'object' || value === null) return null
  return ((value as Record<symbol, unknown>)[brand] as DslKind | undefined) ?? null
}

/** Refuses a value that is not a definition of one of these kinds. TypeScript checks this, JavaScript does not. */
export function checkKind(value: unknown, kinds: readonly DslKind[], what: string, wanted: string): void {
  const kind = definitionKind(value)
  if (kind !== null && kinds.includes(kind)) return
  throw new LockstepError(
    'DEFINITIONS_INVALID',
    `${what} is ${kind ?? show(value)}; it must be ${wanted}: pass the value itself, not its name.`,
  )
}

/** Checks the body of a definition, which may be absent in JavaScript. */
export function checkBody(body: unknown, what: string, known: readonly string[]): void {
  if (typeof body !== 'object' || body === null) {
    throw new LockstepError('DEFINITIONS_INVALID', `${what} has no body; its second argument is an object.`)
  }
  refuseUnknown(body, what, 'field', [...known, 'description', 'owner', 'tags'])
}

/** Refuses options with unknown names, which JavaScript would ignore silently. */
export function checkOptions(options: unknown, what: string, known: readonly string[]): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null) {
    throw new LockstepError('DEFINITIONS_INVALID', `${what} has ${show(options)} for options; write an object of ${known.join(', ')}.`)
  }
  refuseUnknown(options, what, 'option', known)
}

/** Options that users put on a source or view by mistake, although they belong to a feature. */
const featureOptions: readonly string[] = ['ttl', 'hop', 'where', 'default', 'required']

function refuseUnknown(given: object, what: string, kind: 'field' | 'option', known: readonly string[]): void {
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${what} has the ${kind} "${key}", which does not exist.${featureOptions.includes(key) ? ` It is an option of a feature, as in last('amount', { ttl: '2d' }).` : didYouMean(key, known)} Its ${kind}s are ${known.join(', ')}.`,
    )
  }
}

/**
 * What a definition says for people. Equal tags count once.
 *
 * @throws LockstepError `DEFINITIONS_INVALID`
 */
export function describe(body: Description, what: string): Description {
  const { description, owner, tags } = body
  for (const [field, text] of Object.entries({ description, owner })) {
    if (text !== undefined && typeof text !== 'string')
      throw new LockstepError('DEFINITIONS_INVALID', `${what} has the ${field} ${show(text)}; write a string.`)
  }
  return {
    ...(description === undefined ? {} : { description }),
    ...(owner === undefined ? {} : { owner }),
    ...(tags === undefined ? {} : { tags: checkTags(tags, what) }),
  }
}

function checkTags(tags: unknown, what: string): readonly string[] {
  const isTag = (tag: unknown): tag is string => typeof tag === 'string' && tag.trim() !== '' && tag.length <= maxTagLength
  if (Array.isArray(tags) && tags.every(isTag)) return Object.freeze([...new Set(tags)])
  const wrong: unknown = Array.isArray(tags) ? tags.find((tag) => !isTag(tag)) : tags
  throw new LockstepError(
    'DEFINITIONS_INVALID',
    `${what} has the tag ${show(wrong)}; write a list of words of 1 to ${maxTagLength} characters, as in tags: ['fraud', 'pii'].`,
  )
}

const maxTagLength = 64
