import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import { championAlias } from '../../registry/model-aliases.ts'
import type { ModelVersion } from '../../registry/model-versions.ts'

/** Which version of each model answers requests that name none, and what does not load of what should. */
export interface ChosenVersions {
  /** By model; one of which nothing loads is not in it. */
  readonly answering: ReadonlyMap<string, ModelVersion>
  readonly failed: readonly FailedVersion[]
}

export interface FailedVersion {
  readonly model: string
  readonly version: number
  readonly error: unknown
  /** The version that answers in its stead; null: it is not the one that should answer, or none loads. */
  readonly instead: number | null
}

/** How many versions are tried for the place of one that does not load. */
const tries = 5
/** Of how many models versions are loaded at the same time: no more than there are processors for, as what they take is measured. */
const atOnce = Math.max(2, Math.min(4, availableParallelism()))
/** Of one that takes longer the next does not wait for the end: it is large, or hangs. */
const turnMs = 1000

export interface Choosing {
  /** The version of a model that has answered until now. */
  readonly before: (model: string) => number | undefined
  /** Throws where the version does not load. */
  readonly load: (model: CatalogModel, version: ModelVersion) => Promise<unknown>
  /** Whether an error says nothing about the version: it ends all of it. */
  readonly isFatal: (error: unknown) => boolean
  /** Told of each model as soon as the version that is to answer is loaded. */
  readonly onChosen?: (model: string, version: ModelVersion) => void
  /** Told of each model once nothing of it is to be loaded any more. */
  readonly onOver?: (model: string) => void
}

/**
 * Loads what should answer, and what else aliases point at. The champion answers; where it does not load, what has answered until now, else what the alias
 * pointed at before. Without a champion the newest version that loads answers.
 */
export async function chooseVersions(catalog: Catalog, how: Choosing): Promise<ChosenVersions> {
  const choices = new Map<string, Choice>()
  const models = catalog.models.values()
  const choosing: Promise<unknown>[] = []
  const lane = async () => {
    for (const model of models) {
      const chosen = choose(model, how).then((choice) => choices.set(model.name, choice))
      if (how.onOver !== undefined) void chosen.then(() => how.onOver?.(model.name)).catch(() => undefined)
      choosing.push(chosen)
      await Promise.race([chosen, sleep(turnMs, undefined, { ref: false })])
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  await Promise.all(choosing)
  const inOrder = [...catalog.models.keys()].flatMap((name) => choices.get(name) ?? [])
  return {
    answering: new Map(inOrder.flatMap(({ model, chosen }) => (chosen === undefined ? [] : [[model, chosen]]))),
    failed: inOrder.flatMap(({ failed }) => failed),
  }
}

interface Choice {
  readonly model: string
  /** undefined: none loads. */
  readonly chosen: ModelVersion | undefined
  readonly failed: readonly FailedVersion[]
}

async function choose(model: CatalogModel, { before, load, isFatal, onChosen }: Choosing): Promise<Choice> {
  const errors = new Map<number, unknown>()
  const loads = async (version: ModelVersion): Promise<boolean> => {
    if (errors.has(version.version)) return false
    try {
      await load(model, version)
      return true
    } catch (error) {
      if (isFatal(error)) throw error
      errors.set(version.version, error)
      return false
    }
  }
  let chosen: ModelVersion | undefined
  for (const version of candidates(model, before)) {
    if (errors.size === tries) break
    if (!(await loads(version))) continue
    chosen = version
    onChosen?.(model.name, version)
    break
  }
  const stands = new Set(errors.keys())
  for (const { version } of model.aliases.values()) {
    const aliased = model.versions.find((each) => each.version === version)
    if (aliased !== undefined && aliased !== chosen) await loads(aliased)
  }
  const failed = [...errors].map(([version, error]) => ({
    model: model.name,
    version,
    error,
    instead: stands.has(version) ? (chosen?.version ?? null) : null,
  }))
  return { model: model.name, chosen, failed }
}

/** What may answer, the first that loads. Asked for one by one: what has answered may change while the champion loads. */
function* candidates(model: CatalogModel, before: Choosing['before']): Generator<ModelVersion> {
  const champion = model.aliases.get(championAlias)
  if (champion === undefined) {
    yield* model.versions.toReversed()
    return
  }
  const numbered = (number: number | undefined) => model.versions.filter(({ version }) => version === number)
  yield* numbered(champion.version)
  yield* numbered(before(model.name))
  for (const former of champion.former.toReversed()) yield* numbered(former)
}
