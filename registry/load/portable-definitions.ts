import { z } from 'zod'
import { LockstepError } from '../../kernel/errors.ts'
import { measureAggregates } from '../../kernel/specs/experiment-spec.ts'
import { keyKinds, scalarKinds } from '../../kernel/values/value-type.ts'
import { aggregateNames } from '../../kernel/specs/view-spec.ts'
import { channelSpec, monitorSpec } from '../monitor-spec.ts'
import { pipelineSpec } from '../pipeline-spec.ts'
import { scheduledBatchSpec } from '../scheduled-batch-spec.ts'
import { kindLists, kindNames, kindOrder, labelOf, versionOf } from '../definition.ts'
import type { Declared, DefinitionSet } from './definition-set.ts'
import { declareDefinitions } from './declare-definitions.ts'
import type { DefinitionKind } from '../../migrations/schema.ts'
import { maxThreads } from '../define/model.ts'
import { sha256 } from '../sha256.ts'
import { trainingSpec } from '../trainings/training-spec.ts'

const text = z.string().max(10_000)
const name = z.string().min(1).max(63)
/** As `checkFieldName` has it. */
const fieldName = name.regex(/^(?!.*__)[A-Za-z][A-Za-z0-9_]*$/, 'must be letters, digits and single underscores, and begin with a letter')
const definitionId = z.templateLiteral([z.string().regex(/^[a-z][a-z0-9_]*$/), '@', z.int().min(1)])
const version = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)
const micros = z.int()
const scalarType = z.strictObject({ kind: z.enum(scalarKinds) })
const columnType = z.union([scalarType, z.strictObject({ kind: z.literal('vector'), length: z.int().min(1) })])
const valueType = z.union([
  columnType,
  z.strictObject({ kind: z.literal('list'), of: scalarType, nulls: z.boolean() }),
  z.strictObject({ kind: z.literal('counts') }),
])
const keyType = z.strictObject({ kind: z.enum(keyKinds) })
const column = z.strictObject({ name, type: columnType })
const slice = z.strictObject({
  column: name,
  at: z.array(z.number()).exactOptional(),
  values: z.record(z.string(), z.array(z.union([z.string(), z.number(), z.boolean()]))).exactOptional(),
})
const described = { description: z.string().max(100_000).exactOptional(), owner: text.exactOptional(), tags: z.array(text).exactOptional() }

const entity = z.strictObject({ name, key: z.array(z.strictObject({ name: fieldName, type: keyType })) })
const source = z.strictObject({
  name,
  relation: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('table'), table: text }),
    z.strictObject({ kind: z.literal('sql'), sql: z.string().max(1_000_000) }),
    z.strictObject({ kind: z.literal('owned') }),
  ]),
  key: z.array(z.strictObject({ part: name, column: name })),
  eventTime: name,
  known: name.nullable(),
  columns: z.array(column),
})
const featureBase = { name: fieldName, type: valueType, default: z.json(), required: z.boolean(), where: name.exactOptional() }
const aggregated = {
  ...featureBase,
  aggregate: z.enum(aggregateNames),
  column: name.nullable(),
  sample: z.literal(true).exactOptional(),
  quantile: z.number().exactOptional(),
  error: z.number().exactOptional(),
  n: z.int().exactOptional(),
  cap: z.int().exactOptional(),
}
const view = z.strictObject({
  name,
  version,
  entity,
  source,
  availability: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('continuous') }),
    z.strictObject({ kind: z.literal('schedule'), schedule: text, delayMicros: micros }),
  ]),
  derive: z.array(column),
  code: z.string().nullable(),
  features: z
    .array(
      z.discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('latest'), ...featureBase, column: name, ttlMicros: micros.nullable() }),
        z.strictObject({ kind: z.literal('window'), ...aggregated, windowMicros: micros.positive(), hopMicros: micros.positive() }),
        z.strictObject({ kind: z.literal('lifetime'), ...aggregated }),
      ]),
    )
    .min(1),
})
const use = z.strictObject({ view: definitionId, alias: name.nullable(), key: z.array(text) })
const onDemand = z.strictObject({
  name,
  version,
  request: z.array(column),
  inputs: z.array(
    z.union([
      z.strictObject({ name, features: z.array(name).exactOptional(), use }),
      z.strictObject({ name, features: z.array(name).exactOptional(), onDemand: definitionId }),
    ]),
  ),
  features: z.array(z.strictObject({ name: fieldName, type: valueType, default: z.json(), required: z.boolean() })).min(1),
  code: z.string(),
})
const service = z.strictObject({
  name,
  version,
  members: z
    .array(
      z.discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('view'), use, features: z.array(name) }),
        z.strictObject({ kind: z.literal('onDemand'), view: definitionId, features: z.array(name) }),
      ]),
    )
    .min(1),
})
const model = z.strictObject({
  name,
  service: definitionId,
  input: z.record(text, z.array(text).min(1)).exactOptional(),
  output: z.array(z.strictObject({ name: text, type: columnType })).min(1),
})
const outcome = z.strictObject({
  name,
  model: name,
  source,
  match: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('prediction'), column: name }),
    z.strictObject({
      kind: z.literal('entity'),
      take: z.enum(['first', 'last']),
      key: z.array(z.strictObject({ name: fieldName, type: keyType })).min(1),
    }),
  ]),
  type: scalarType,
  column: name.nullable(),
  code: z.string().nullable(),
  withinMicros: micros.positive(),
  missing: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('exclude') }),
    z.strictObject({ kind: z.literal('value'), value: z.union([z.boolean(), z.number(), z.string()]) }),
  ]),
  output: text.nullable(),
})
const viewFeatures = z.strictObject({ kind: z.literal('view'), use, features: z.array(name) })
const measure = z.strictObject({
  of: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('source'), source, key: z.array(z.strictObject({ name: fieldName, type: keyType })).min(1) }),
    z.strictObject({ kind: z.literal('outcome'), outcome: name }),
  ]),
  aggregate: z.enum(measureAggregates),
  column: name.nullable(),
})
const share = z.number().min(0).max(1)
const metricBase = {
  name,
  role: z.enum(['primary', 'guardrail', 'secondary']),
  withinMicros: micros.positive(),
  winsorizeAt: z.number().nullable(),
  per: z.enum(['unit', 'exposure']),
  better: z.enum(['higher', 'lower']),
  margin: share.nullable(),
}
const metric = z.discriminatedUnion('kind', [
  z.strictObject({ ...metricBase, kind: z.literal('mean'), value: measure }),
  z.strictObject({ ...metricBase, kind: z.literal('proportion'), value: measure }),
  z.strictObject({ ...metricBase, kind: z.literal('ratio'), numerator: measure, denominator: measure }),
  z.strictObject({ ...metricBase, kind: z.literal('quantile'), value: measure, quantile: share }),
])
const experiment = z.strictObject({
  name,
  model: name,
  unit: text,
  variants: z.array(z.strictObject({ name, serves: z.union([z.int().min(1), name]), weight: share })).min(2),
  layer: z.strictObject({ name, from: share, to: share }).nullable(),
  metrics: z.array(metric).min(1),
  covariates: z.array(viewFeatures),
  slices: z.array(viewFeatures),
  analysis: z.strictObject({
    method: z.enum(['sequential', 'fixed', 'bayesian']),
    alpha: share,
    correction: z.enum(['holm', 'bh', 'none']),
    units: z.int().min(1).nullable(),
    prior: z.strictObject({ mean: z.number(), deviation: z.number().positive() }).nullable(),
  }),
  allocation: z.strictObject({ method: z.literal('thompson'), floor: z.number().gt(0).lt(1), minUnits: z.int().min(100) }).exactOptional(),
})
const stream = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('redis'), stream: text, field: text, group: text }),
  z.strictObject({ kind: z.literal('nats'), stream: text, subject: text.nullable(), group: text }),
  z.strictObject({ kind: z.literal('kafka'), stream: text, group: text, format: z.literal('avro').exactOptional() }),
])

/** Every field of a definition set, without fingerprints. */
export const portableSchema = z.strictObject({
  /** The version of Lockstep that compiled them. */
  lockstep: z.string(),
  /** The definitions file, for messages and the audit log. */
  file: z.string().min(1).max(4096),
  entities: z.array(z.strictObject({ spec: entity, operational: z.strictObject(described) })),
  sources: z.array(
    z.strictObject({
      spec: source,
      operational: z.strictObject({
        ...described,
        stream: stream.exactOptional(),
        files: z
          .strictObject({ patterns: z.array(text.min(1)).min(1), fromMicros: micros.nullable(), schedule: text.nullable() })
          .exactOptional(),
        cursor: z.strictObject({ column: name, overlapMicros: micros, reconcileMicros: micros }).exactOptional(),
        push: z.literal(true).exactOptional(),
      }),
    }),
  ),
  views: z.array(
    z.strictObject({
      spec: view,
      operational: z.strictObject({
        ...described,
        online: z.boolean(),
        maxStateBytes: z.int().exactOptional(),
        freshnessMicros: micros.exactOptional(),
        monitors: z.literal('none').exactOptional(),
      }),
    }),
  ),
  onDemand: z.array(z.strictObject({ spec: onDemand, operational: z.strictObject(described) })),
  services: z.array(z.strictObject({ spec: service, operational: z.strictObject(described) })),
  models: z.array(
    z.strictObject({
      spec: model,
      operational: z.strictObject({
        ...described,
        tolerance: z.number().exactOptional(),
        batchDelayMicros: micros.exactOptional(),
        timeoutMicros: micros.exactOptional(),
        threads: z.int().min(1).max(maxThreads).exactOptional(),
        cache: z.strictObject({ ttlMicros: micros, maxEntries: z.int() }).exactOptional(),
        threshold: z.number().exactOptional(),
        slices: z.record(z.string(), slice).exactOptional(),
        monitors: z.literal('none').exactOptional(),
      }),
    }),
  ),
  outcomes: z.array(
    z.strictObject({
      spec: outcome,
      operational: z.strictObject({ ...described, figures: z.record(z.string(), z.string()).exactOptional() }),
    }),
  ),
  channels: z.array(z.strictObject({ spec: channelSpec, operational: z.strictObject(described) })).default([]),
  monitors: z.array(z.strictObject({ spec: monitorSpec, operational: z.strictObject(described) })).default([]),
  experiments: z
    .array(z.strictObject({ spec: experiment, operational: z.strictObject({ ...described, coverage: share.positive() }) }))
    .default([]),
  batches: z.array(z.strictObject({ spec: scheduledBatchSpec, operational: z.strictObject(described) })).default([]),
  pipelines: z.array(z.strictObject({ spec: pipelineSpec, operational: z.strictObject(described) })).default([]),
  trainings: z.array(z.strictObject({ spec: trainingSpec, operational: z.strictObject(described) })).default([]),
  /** The bundled transforms, each with the SHA-256 (hex) of its text. */
  code: z.array(z.strictObject({ hash: z.string(), body: z.string() })),
  unexported: z.array(z.string()).exactOptional(),
})

/**
 * A definition set as JSON: how `lockstep plan --server` sends compiled definitions to a server. It has the specs and
 * the code, and no fingerprints: the receiver computes them.
 *
 * @param lockstep the version of Lockstep that runs
 */
export function portableDefinitions(set: DefinitionSet, lockstep: string): object {
  const bare = (all: readonly Declared<unknown>[]) => all.map(({ spec, operational }) => ({ spec, operational }))
  return {
    lockstep,
    file: set.file,
    ...Object.fromEntries(Object.values(kindLists).map((list) => [list, bare(set[list])])),
    code: [...set.code].map(([hash, body]) => ({ hash, body })),
    ...(set.unexported === undefined ? {} : { unexported: set.unexported }),
  }
}

/**
 * Reads definitions that another process compiled. Shapes, names and hashes are checked, and fingerprints are computed
 * here. That everything compiles and fits the registry, `planChanges` checks. Purity was tried where the definitions
 * were compiled: their code is trusted as that of the registry is.
 *
 * @param lockstep the version of Lockstep that runs
 * @throws LockstepError `VERSION_MISMATCH` where another minor version compiled them; `DEFINITIONS_INVALID`,
 *   `DEFINITIONS_EMPTY`, `DUPLICATE_NAME`, `CODE_HASH_MISMATCH`
 */
export function readPortableDefinitions(json: unknown, lockstep: string): DefinitionSet {
  const sent = z.object({ lockstep: z.string() }).safeParse(json)
  if (sent.success) requireSameMinor(sent.data.lockstep, lockstep)
  const parsed = portableSchema.safeParse(json)
  if (!parsed.success) throw invalid(parsed.error)
  refuseUnwritable(parsed.data, [])
  const { file, code, unexported, lockstep: _, ...specs } = parsed.data
  const lists = Object.values(specs)
  if (lists.every((list) => list.length === 0)) {
    throw new LockstepError('DEFINITIONS_EMPTY', `The definitions of "${file}" are empty; send at least one.`)
  }
  for (const kind of kindOrder) refuseTwice(kind, specs[kindLists[kind]])
  const texts = new Map(code.map(({ hash, body }) => [hash, body]))
  for (const [hash, body] of texts) {
    if (sha256(body) !== hash) throw wrongHash(`The code "${hash}" does not have that hash`, hash)
  }
  for (const { spec } of [...specs.views, ...specs.onDemand, ...specs.outcomes]) {
    const label = 'version' in spec ? `${spec.name}@${spec.version}` : spec.name
    if (spec.code !== null && !texts.has(spec.code)) throw wrongHash(`The code of "${label}" was not sent`, spec.code)
  }
  return { ...declareDefinitions(file, specs, texts), ...(unexported === undefined ? {} : { unexported }) }
}

function requireSameMinor(sent: string, own: string): void {
  const minor = (of: string): string => of.split('.').slice(0, 2).join('.')
  if (minor(sent) === minor(own)) return
  throw new LockstepError(
    'VERSION_MISMATCH',
    `Lockstep ${sent} compiled the definitions, and the server runs ${own}; use the version of the server: npx lockstep@${own}.`,
    { details: { sent, server: own } },
  )
}

function invalid({ issues }: z.ZodError): LockstepError {
  const said = issues.slice(0, 10).map(({ path, message }) => `"${path.join('.')}": ${message}`)
  return new LockstepError(
    'DEFINITIONS_INVALID',
    `The definitions are malformed: ${said.join('; ')}. Send them with "lockstep plan FILE --server URL".`,
    { details: { issues: said } },
  )
}

/** PostgreSQL takes no zero bytes, and a lone surrogate would be stored as another character. */
function refuseUnwritable(value: unknown, path: readonly string[]): void {
  if (typeof value === 'string') {
    if (value.isWellFormed() && !value.includes('\0')) return
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The definitions have text that cannot be stored, at "${path.join('.')}": it has a zero byte or a lone surrogate. Write them as "\\0" or "\\ud800" in code, and not at all elsewhere.`,
      { details: { path: path.join('.') } },
    )
  }
  if (typeof value !== 'object' || value === null) return
  for (const [key, member] of Object.entries(value)) {
    refuseUnwritable(key, path)
    refuseUnwritable(member, [...path, key])
  }
}

function refuseTwice(
  kind: DefinitionKind,
  declared: readonly { readonly spec: { readonly name: string; readonly version?: number | string | null } }[],
): void {
  const seen = new Set<string>()
  for (const { spec } of declared) {
    const label = labelOf({ name: spec.name, version: versionOf(kind, spec) })
    if (!/^[a-z][a-z0-9_]*$/.test(spec.name)) {
      throw new LockstepError(
        'INVALID_NAME',
        `The ${kindNames[kind]} cannot be called "${spec.name}"; a name is 1 to 63 lower-case letters, digits and underscores, and begins with a letter.`,
      )
    }
    if (seen.has(label))
      throw new LockstepError('DUPLICATE_NAME', `Two definitions are the ${kindNames[kind]} "${label}"; send one of them.`)
    seen.add(label)
  }
}

function wrongHash(what: string, hash: string): LockstepError {
  return new LockstepError('CODE_HASH_MISMATCH', `${what}; send the definitions again.`, { details: { hash } })
}
