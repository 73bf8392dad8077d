import { filesName } from '../kernel/specs/files-spec.ts'
import { streamName } from '../kernel/specs/stream-spec.ts'
import { watchedName } from './monitor-spec.ts'
import type { Definition } from './definition.ts'

/** A definition in a few words: `3 features by airport from landings`. */
export function summaryOf(definition: Definition): string {
  switch (definition.kind) {
    case 'entity':
      return `key ${definition.spec.key.map(({ name }) => name).join(', ') || 'of a single entity'}`
    case 'source': {
      const { relation } = definition.spec
      if (definition.operational.files !== undefined) return filesName(definition.operational.files)
      if (relation.kind === 'table') return `your table ${relation.table}${definition.operational.push === true ? ', with push' : ''}`
      return relation.kind === 'sql' ? 'your query' : 'a table of Lockstep'
    }
    case 'view':
      return `${features(definition.spec.features.length)} by ${definition.spec.entity.name} from ${definition.spec.source.name}`
    case 'onDemand':
      return features(definition.spec.features.length)
    case 'service':
      return features(definition.spec.members.reduce((sum, member) => sum + member.features.length, 0))
    case 'model':
      return `takes ${definition.spec.service}`
    case 'outcome':
      return `of ${definition.spec.model} from ${definition.spec.source.name}`
    case 'channel':
      return definition.spec.kind
    case 'monitor':
      return `${definition.spec.checks.map(({ kind }) => kind).join(', ')} of ${watchedName(definition.spec)}`
    case 'experiment':
      return `${definition.spec.variants.map(({ name }) => name).join(', ')} of ${definition.spec.model} by ${definition.spec.unit}`
    case 'batch':
      return `of ${definition.spec.model}, by ${definition.spec.schedule}`
    case 'training':
      return `of ${definition.spec.model} by ${definition.spec.trainer}`
    case 'pipeline':
      return `${definition.spec.source} by ${definition.spec.model}, to the ${streamName(definition.spec.sink)}`
    default:
      return definition satisfies never
  }
}

function features(count: number): string {
  return `${count} feature${count === 1 ? '' : 's'}`
}
