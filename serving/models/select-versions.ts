import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CatalogModel } from '../../registry/catalog.ts'
import { championAlias } from '../../registry/models/model-aliases.ts'
import { variantVersions } from '../../registry/experiments/experiment.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'

/** The version of each model that serves requests by default, and the versions that should load and do not. */
export interface SelectedVersions {
  /** By model, without models of which no version loads. */
  readonly answering: ReadonlyMap<string, ModelVersion>
  readonly failed: readonly FailedVersion[]
}

export interface FailedVersion {
  readonly model: string
  readonly version: number
  readonly error: unknown
  /** The version that serves in its place; null: the failed one does not serve by default, or none loads. */
  readonly instead: number | null
}

/** How many versions of a model may fail before no other is tried. */
const tries = 5
/** How many models are loaded at once. No more than there are processors, because loads and runs are measured. */
const atOnce = Math.max(2, Math.min(4, availableParallelism()))
/** The next model does not wait for a load that takes longer. */
const turnMs = 1000

export interface SelectOptions {
  /** The version of a model that has served until now. */
  readonly before: (model: string) => number | undefined
  /** @throws why the version does not load */
  readonly load: (model: CatalogModel, version: ModelVersion) => Promise<unknown>
  /** Whether an error is not the version's: then the whole selection fails with it. */
  readonly isFatal: (error: unknown) => boolean
  /** Called for each model as soon as its version is loaded. */
  readonly onChosen?: (model: string, version: ModelVersion) => void
  /** Called for each model once no version of it is to be loaded any more. */
  readonly onOver?: (model: string) => void
}

/**
 * Loads the version of each model that serves requests by default, and the versions that aliases point at,
 * that roll out, that run in shadow, or that are variants of an experiment.
 *
 * - The pinned version serves. If the model has none, or it does not load:
 * - The champion serves. If it does not load: the version that has served until now, else earlier champions.
 * - Without a champion, the newest version that loads serves.
 */
export async function selectVersions(models: ReadonlyMap<string, CatalogModel>, how: SelectOptions): Promise<SelectedVersions> {
  const choices = new Map<string, Choice>()
  const rest = models.values()
  const choosing: Promise<unknown>[] = []
  const lane = async () => {
    for (const model of rest) {
      const chosen = choose(model, how).then((choice) => choices.set(model.name, choice))
      if (how.onOver !== undefined) void chosen.then(() => how.onOver?.(model.name)).catch(() => undefined)
      choosing.push(chosen)
      await Promise.race([chosen, sleep(turnMs, undefined, { ref: false })])
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  await Promise.all(choosing)
  const inOrder = [...models.keys()].flatMap((name) => choices.get(name) ?? [])
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

async function choose(model: CatalogModel, { before, load, isFatal, onChosen }: SelectOptions): Promise<Choice> {
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
  // a candidate is loaded before the first row is routed to it
  const routed = [model.rollout?.version, model.shadow?.version, ...variantVersions(model)]
  for (const version of [...Array.from(model.aliases.values(), (alias) => alias.version), ...routed]) {
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

/**
 * The versions that may serve, in order: the first that loads does. A generator, because the version that has served
 * may change while the champion loads.
 */
function* candidates(model: CatalogModel, before: SelectOptions['before']): Generator<ModelVersion> {
  const numbered = (number: number | undefined) => model.versions.filter(({ version }) => version === number)
  const champion = model.aliases.get(championAlias)
  if (model.pin !== null) {
    yield* numbered(model.pin)
    yield* numbered(before(model.name))
  }
  if (champion === undefined) {
    yield* model.versions.toReversed()
    return
  }
  yield* numbered(champion.version)
  yield* numbered(before(model.name))
  for (const former of champion.former.toReversed()) yield* numbered(former)
}
