import { LockstepError } from '../../kernel/errors.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { parseDuration } from '../../kernel/values/duration.ts'
import type { ModelSpec } from '../../kernel/specs/service-spec.ts'
import { show } from '../../kernel/values/value-type.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { CacheSettings, ModelOperational } from '../load/definition-set.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, define, describe } from './definition.ts'
import type { FeatureService } from './feature-service.ts'
import { checkColumnName, checkName } from './names.ts'
import type { ColumnOf, Slices } from './slices.ts'
import { checkSlices } from './slices.ts'
import type { Types } from './t.ts'
import { checkColumnType } from './t.ts'

const defaultCacheEntries = 10_000
const maxCacheEntries = 1_000_000
export const maxThreads = 64

/** A model: the features that it takes and its outputs. Its versions, each an ONNX file, are pushed to the registry. */
export interface Model<N extends string = string, S extends FeatureService = FeatureService, O extends Types = Types> {
  readonly kind: 'model'
  readonly name: N
  readonly service: S
  readonly output: O
  readonly spec: ModelSpec
  readonly operational: ModelOperational
  readonly described: Description
}

/** How a model runs. These options may change at any time without a new version. */
export interface ModelOptions {
  /**
   * The maximum difference of an answer when other rows share its run, relative to the greatest answers if those are
   * above 1. Default: 1e-6. A model that differs by more runs row by row; 0 always does.
   */
  readonly tolerance?: number
  /** The maximum time that a request waits for others to share its run, as in `'2ms'`, at most 1s. Default: no wait. */
  readonly batchDelay?: string
  /**
   * The time limit of one run, as in `'500ms'`, at most 10m. The run is then ended, and its callers get an error.
   * Default: 5s.
   */
  readonly timeout?: string
  /**
   * How many threads one run may use, at most 64. With more than one, the model always runs in a separate process.
   * Default: 1.
   */
  readonly threads?: number
  /**
   * How long answers are cached, as in `{ ttl: '30s' }`, and how many (`maxEntries`, default 10,000). Default: no
   * cache.
   */
  readonly cache?: { readonly ttl: string; readonly maxEntries?: number }
  /**
   * The least score that counts as a positive decision, 0 to 1: for accuracy, precision, recall and F1 of a classifier.
   * Default: 0.5.
   */
  readonly threshold?: number
  /** `'none'` turns off the default monitors of this model. */
  readonly monitors?: 'none'
}

/**
 * Declares a model. Its outputs have the names that the ONNX file gives them.
 *
 * @example export const delayModel = model('delay', { service: flightFeatures, output: { probability: t.float32 } })
 * @throws LockstepError `INVALID_NAME`, `INVALID_TYPE`, `DEFINITIONS_INVALID`
 */
export function model<const N extends string, S extends FeatureService, const O extends Types>(
  name: N,
  body: {
    readonly service: S
    /**
     * The features that form a row of an input, in order, by the input's name in the ONNX file, as in `{ x_num:
     * ['visits', 'age'], x_cat: ['plan'] }`. Default: an input takes the feature of its name, or a single one all
     * numeric features.
     */
    readonly input?: Readonly<Record<string, readonly NoInfer<keyof S['features'] & string>[]>>
    readonly output: O
    /**
     * Named splits of its figures, for `lockstep quality --by NAME` and reports: a column, or bins or groups of one.
     */
    readonly slices?: Slices<NoInfer<ColumnOf<S>>>
  } & ModelOptions &
    Description,
): Model<N, S, O> {
  const what = `model "${checkName(name, 'A model')}"`
  checkBody(body, `The ${what}`, [
    'service',
    'input',
    'output',
    'slices',
    'tolerance',
    'batchDelay',
    'timeout',
    'threads',
    'cache',
    'threshold',
    'monitors',
  ])
  checkKind(body.service, ['featureService'], `The service of ${what}`, 'a feature service')
  const output = Object.entries(body.output ?? {}).map(([column, type]) => {
    const place = `The output "${column}" of ${what}`
    return Object.freeze({ name: checkColumnName(column, place), type: checkColumnType(type, place) })
  })
  if (output.length === 0)
    throw new LockstepError('DEFINITIONS_INVALID', `The ${what} has no output; add one, as in output: { probability: t.float32 }.`)
  const spec: ModelSpec = {
    name,
    service: definitionId(body.service),
    ...(body.input === undefined ? {} : { input: checkInputs(body.input, body.service, what) }),
    output: Object.freeze(output),
  }
  return define({
    kind: 'model',
    name,
    service: body.service,
    output: Object.freeze({ ...body.output }),
    spec: Object.freeze(spec),
    operational: Object.freeze({
      ...operationalOf(body, `The ${what}`),
      ...(body.slices === undefined ? {} : { slices: checkSlices(body.slices, body.service, `The ${what}`) }),
    }),
    described: describe(body, `The ${what}`),
  })
}

function checkInputs(given: unknown, { name: service, features }: FeatureService, what: string): NonNullable<ModelSpec['input']> {
  const inputs = isRecord(given) ? Object.entries(given) : []
  if (inputs.length === 0) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The ${what} has the input ${show(given)}; write the features of each input, as in input: { x_num: ['visits', 'age'] }.`,
    )
  }
  return Object.freeze(Object.fromEntries(inputs.map(([input, list]) => [input, Object.freeze(featuresOf(input, list))])))

  function featuresOf(input: string, list: unknown): string[] {
    const place = `The input "${input}" of ${what}`
    const taken = new Set<string>()
    for (const feature of Array.isArray(list) ? (list as readonly unknown[]) : []) {
      if (typeof feature !== 'string' || !Object.hasOwn(features, feature)) {
        const hint = typeof feature === 'string' ? didYouMean(feature, Object.keys(features)) : ''
        throw new LockstepError(
          'UNKNOWN_COLUMN',
          `${place} takes ${show(feature)}, which is not a feature of the service "${service}".${hint} Its features are ${Object.keys(features).join(', ')}.`,
          { details: { input } },
        )
      }
      if (taken.has(feature))
        throw new LockstepError('DEFINITIONS_INVALID', `${place} takes "${feature}" twice; each column of an input is another feature.`)
      taken.add(feature)
    }
    if (taken.size > 0) return [...taken]
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${place} takes ${show(list)}; write its features in order, as in ${input}: ['visits', 'age'].`,
    )
  }
}

function operationalOf(
  { tolerance, batchDelay, timeout, threads, cache, threshold, monitors }: ModelOptions,
  what: string,
): ModelOperational {
  if (tolerance !== undefined && !(typeof tolerance === 'number' && tolerance >= 0 && tolerance <= 1))
    throw new LockstepError('DEFINITIONS_INVALID', `${what} has the tolerance ${show(tolerance)}; give a number from 0 to 1, as in 1e-6.`)
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1 && threads <= maxThreads))
    throw new LockstepError('DEFINITIONS_INVALID', `${what} has ${show(threads)} threads; give a whole number from 1 to ${maxThreads}.`)
  if (threshold !== undefined && !(typeof threshold === 'number' && threshold >= 0 && threshold <= 1))
    throw new LockstepError('DEFINITIONS_INVALID', `${what} has the threshold ${show(threshold)}; give a number from 0 to 1, as in 0.5.`)
  if (monitors !== undefined && monitors !== 'none')
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${what} has the monitors ${show(monitors)}; write 'none', or leave it out. Monitors are declared separately, by monitor(…).`,
    )
  return Object.freeze({
    ...(tolerance === undefined ? {} : { tolerance }),
    ...(batchDelay === undefined ? {} : { batchDelayMicros: duration(batchDelay, 'batchDelay', '1s', what) }),
    ...(timeout === undefined ? {} : { timeoutMicros: duration(timeout, 'timeout', '10m', what) }),
    ...(threads === undefined ? {} : { threads }),
    ...(cache === undefined ? {} : { cache: cacheSettings(cache, what) }),
    ...(threshold === undefined ? {} : { threshold }),
    ...(monitors === undefined ? {} : { monitors }),
  })
}

function cacheSettings(cache: NonNullable<ModelOptions['cache']>, what: string): CacheSettings {
  checkFields(cache, what)
  const { ttl, maxEntries = defaultCacheEntries } = cache
  if (!Number.isSafeInteger(maxEntries) || maxEntries < 1 || maxEntries > maxCacheEntries) {
    const given = show(maxEntries)
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${what} has a cache of ${given} entries; give a whole number from 1 to ${maxCacheEntries}.`,
    )
  }
  return Object.freeze({ ttlMicros: duration(ttl, 'cache ttl', '1d', what), maxEntries })
}

function checkFields(cache: unknown, what: string): void {
  const known = ['ttl', 'maxEntries']
  if (typeof cache === 'object' && cache !== null && Object.keys(cache).every((key) => known.includes(key))) return
  throw new LockstepError(
    'DEFINITIONS_INVALID',
    `${what} has the cache ${show(cache)}; write it as in cache: { ttl: '30s', maxEntries: 10000 }.`,
  )
}

function duration(text: string, field: string, most: string, what: string): number {
  const micros = parseDuration(text, `${what}: its ${field}`)
  if (micros <= parseDuration(most)) return micros
  throw new LockstepError('DEFINITIONS_INVALID', `${what} has the ${field} "${text}"; it is at most ${most}.`)
}
