import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'

/**
 * The definitions as a development store takes them: it reads every source from a table of its own, which is filled
 * from a file, and reads no stream.
 */
export function developmentSet(set: DefinitionSet): DefinitionSet {
  return {
    ...set,
    sources: set.sources.map(({ spec, fingerprint, operational: { description, owner } }) => ({
      spec: owned(spec),
      fingerprint,
      operational: { ...(description === undefined ? {} : { description }), ...(owner === undefined ? {} : { owner }) },
    })),
    views: set.views.map(({ spec, ...rest }) => ({ spec: { ...spec, source: owned(spec.source) }, ...rest })),
  }
}

/** Notes for the user: what is read here instead of what the file names. */
export function replacedSources({ sources }: DefinitionSet): string[] {
  return sources.flatMap(({ spec, operational: { stream, files } }) => {
    const { relation, name } = spec
    const instead =
      relation.kind === 'table'
        ? `its table "${relation.table}"`
        : relation.kind === 'sql'
          ? 'its query'
          : stream !== undefined
            ? 'its stream'
            : files !== undefined
              ? 'its Parquet files'
              : null
    return instead === null ? [] : [`The source "${name}" reads data/${name}.csv, .jsonl or .parquet instead of ${instead}.`]
  })
}

function owned(source: SourceSpec): SourceSpec {
  return { ...source, relation: { kind: 'owned' } }
}
