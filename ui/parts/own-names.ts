import { type Entry, useIndex } from '../api/use-index.ts'

/** Names for the commands of empty pages: those of the registry, or of the example where it has none. */
interface OwnNames {
  /** Null: the registry has none. */
  readonly model: string | null
  readonly view: string
  readonly service: string
  readonly source: string
}

export function useOwnNames(): OwnNames {
  const { entries } = useIndex()
  return {
    model: nameOf(entries, 'model'),
    view: nameOf(entries, 'view') ?? 'airport_delays',
    service: nameOf(entries, 'service') ?? 'flight_features',
    source: nameOf(entries, 'source') ?? 'landings',
  }
}

function nameOf(entries: readonly Entry[] | undefined, kind: string): string | null {
  const named = entries?.filter((entry) => entry.kind === kind) ?? []
  // a model without a version has none in its id, and answers nothing
  const chosen = named.find(({ id }) => id.includes('@')) ?? named[0]
  return chosen?.id.split('@')[0] ?? null
}
