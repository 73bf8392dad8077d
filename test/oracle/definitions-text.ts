import { join } from 'node:path'
import type { FeatureSpec } from '../../kernel/specs/view-spec.ts'
import { rootFolder } from '../source-files.ts'
import type { KeyShape, Transform, World, WorldView } from './world.ts'

const keyTypes: Readonly<Record<KeyShape, string>> = { one: 'thing: t.string', two: 'thing: t.string, part: t.int32', none: '' }

const functions = [
  'count',
  'distinctCount',
  'first',
  'firstN',
  'histogram',
  'last',
  'lastDistinctN',
  'lastN',
  'max',
  'mean',
  'min',
  'quantile',
  'stddev',
  'sum',
  'topK',
  'variance',
]

const aliasKeys: Readonly<Record<KeyShape, string>> = { one: `{ thing: 'thing' }`, two: `{ thing: 'thing', part: 'part' }`, none: '{}' }

/** `df` is the derived column that features use instead of `f`. */
const transforms: Readonly<Record<Transform, string>> = {
  none: '',
  'drops negative': `derive: { df: t.float64 }, transform: (row) => (row.i !== null && row.i < 0 ? null : { df: row.f }),`,
  'swaps sign': `derive: { df: t.float64 }, transform: (row) => ({ df: row.f === null ? null : -row.f }),`,
}

/**
 * A world's definitions as a user would write them: one source, its views, and the service `w<id>_all` of all views.
 */
export function definitionsText(id: string, { views }: World): string {
  const name = `w${id}`
  return `import { entity, featureService, featureView, source, t, ${functions.join(', ')} } from ${JSON.stringify(join(rootFolder, 'index.ts'))}

${(['one', 'two', 'none'] as const).map((shape) => `export const ${name}_${shape} = entity('${name}_${shape}', { key: { ${keyTypes[shape]} } })`).join('\n')}
export const ${name}_rows = source('${name}_rows', {
  key: { thing: 'thing', part: 'part' }, eventTime: 'at', known: 'known',
  columns: { i: t.int32, big: t.int64, f: t.float64, s: t.string, ok: t.bool },
})
${views.map((view) => viewText(name, view)).join('\n')}
${serviceText(`${name}_all`, views)}
`
}

/** A service of views, each under an alias of its own name. */
export function serviceText(name: string, views: readonly WorldView[]): string {
  const uses = views.map(({ spec, keys }) => `${spec.name}.as('${spec.name}', ${aliasKeys[keys]})`)
  return `export const ${name} = featureService('${name}', { version: 1, features: [${uses.join(', ')}] })`
}

function viewText(world: string, { spec, keys, transform }: WorldView): string {
  const { availability } = spec
  const when =
    availability.kind === 'continuous'
      ? `'continuous'`
      : `{ schedule: '${availability.schedule}'${availability.delayMicros > 0 ? `, delay: '${availability.delayMicros}us'` : ''} }`
  return `export const ${spec.name} = featureView('${spec.name}', {
  version: 1, entity: ${world}_${keys}, source: ${world}_rows, availability: ${when}, ${transforms[transform]}
  features: { ${spec.features.map((f) => `${f.name}: ${featureText(f, transform)}`).join(', ')} },
})`
}

function featureText(feature: FeatureSpec, transform: Transform): string {
  const column = feature.column === 'f' && transform !== 'none' ? 'df' : feature.column
  const options: string[] = []
  if (feature.where !== undefined) options.push(`where: '${feature.where}'`)
  if (feature.default !== null) options.push(`default: ${defaultText(feature)}`)
  if (feature.kind === 'latest') {
    if (feature.ttlMicros !== null) options.push(`ttl: '${feature.ttlMicros}us'`)
    return `last('${column}'${optionsText(options)})`
  }
  const { aggregate, n, cap, sample, error } = feature
  if (sample === true) options.push('sample: true')
  if (cap !== undefined) options.push(`cap: ${cap}`)
  if (error !== undefined) options.push(`error: ${error}`)
  const takes: (string | number)[] = column === null ? [] : [`'${column}'`]
  if (aggregate === 'quantile') takes.push(feature.quantile as number)
  if (n !== undefined) takes.push(n)
  takes.push(feature.kind === 'lifetime' ? `'lifetime'` : `'${feature.windowMicros}us'`)
  return `${aggregate}(${takes.join(', ')}${optionsText(options)})`
}

function defaultText(feature: FeatureSpec): string {
  const stated = JSON.stringify(feature.default)
  return feature.type.kind === 'counts' ? `new Map(Object.entries(${stated}))` : stated
}

function optionsText(options: readonly string[]): string {
  return options.length === 0 ? '' : `, { ${options.join(', ')} }`
}
