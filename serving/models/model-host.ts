import { initializeOrt } from '../../inference/initialize-ort.ts'
import { messageOf } from '../../kernel/errors.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { createAnsweringVersions } from './answering-versions.ts'
import { answersMeanwhile } from './answers-meanwhile.ts'
import type { ServedModel } from './load-version.ts'
import type { LoadedVersionsDeps } from './loaded-versions.ts'
import { createLoadedVersions, isUnavailable, shutDown } from './loaded-versions.ts'
import type { FailedVersion, SelectedVersions } from './select-versions.ts'
import { selectVersions } from './select-versions.ts'
import { failuresOf, noFailures } from './version-failures.ts'
import { requireTried } from './version-rules.ts'

export interface ModelHostDeps extends LoadedVersionsDeps {
  /** Called with the versions that serve requests from now on. */
  readonly onVersions: (chosen: SelectedVersions) => void
  /**
   * How long `prepare` waits for what a model is to answer with from now on, where it has something else to answer
   * with; milliseconds. Absent: as long as it takes.
   */
  readonly patienceMs?: number
  /** Which models are kept loaded. Others are loaded by their first request. Default: all. */
  readonly keeps?: KeptModels
}

export type KeptModels = (catalog: Catalog, model: string) => boolean

/**
 * Keeps versions of the models that `keeps` chooses loaded.
 *
 * - Always: versions that serve requests by default, and versions that an alias points at or pointed at last.
 * - Others: from their first request until 5 minutes after their last one.
 */
export interface ModelHost {
  /**
   * Calls `fn` with the model, which stays loaded until `fn` is done.
   *
   * @param version a number or an alias; absent: the version of `answering`
   * @param options.measured whether it counts as a request for predictions; 'time': without failures. Default: true
   * @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID`, `POSTGRES_UNAVAILABLE`, and what
   *   `fn` throws
   */
  use<T>(
    catalog: Catalog,
    name: string,
    version: VersionReference | undefined,
    fn: (model: ServedModel) => Promise<T>,
    options?: { readonly measured?: boolean | 'time' },
  ): Promise<T>
  /** Whether the model is kept loaded. */
  readonly keeps: KeptModels
  /**
   * Loads a version as the catalog has it, even if another one serves in its place meanwhile.
   *
   * @throws LockstepError as `use`
   */
  load(catalog: Catalog, name: string, version: VersionReference): Promise<Pick<ServedModel, 'tried'>>
  /**
   * The version that serves requests by default: the champion, or the newest without a champion. After `prepare` it is
   * one that loads. null: none.
   */
  answering(catalog: Catalog, model: CatalogModel): ModelVersion | null
  /**
   * Loads the versions that serve requests by default under this catalog, and runs each once as a warm-up.
   *
   * - A version that does not load is logged and listed in `failures`. Another one serves in its place, preferably the
   *   one that served until now. If none loads, requests get the error.
   * - A model that loads slowly does not delay others: it keeps its present version until the new one is loaded.
   *
   * @throws LockstepError `POSTGRES_UNAVAILABLE` if a version cannot be read now; then prepare the catalog again
   */
  prepare(catalog: Catalog): Promise<void>
  /** Resolves once all versions of the last prepared catalog have loaded or failed. */
  settled(): Promise<void>
  /** Why versions of the last prepared catalog do not load, one sentence each. */
  readonly failures: readonly string[]
  /** Whether each model of the last prepared catalog has a version that answers, as far as they have been loaded. */
  readonly allAnswer: boolean
  /** Why a version does not load; undefined: it loads, or has not been tried. */
  failureOf(model: string, version: number): string | undefined
  /**
   * Unloads versions that the catalog no longer has, and unused ones, each once no request uses it. Call it regularly.
   */
  retire(catalog: Catalog): void
  /** Empties the prediction caches of all versions. */
  forgetAnswers(): void
  /** Waits until no request uses a model. */
  close(): Promise<void>
}

export function createModelHost(deps: ModelHostDeps): ModelHost {
  const { log, keeps = () => true } = deps
  const loaded = createLoadedVersions(deps)
  const answers = createAnsweringVersions(loaded)
  let failed: readonly FailedVersion[] = []
  let failures = noFailures
  let warm: Promise<void> | null = null
  let preparations = 0
  let settling: Promise<void> = Promise.resolve()

  function keptModels(catalog: Catalog): ReadonlyMap<string, CatalogModel> {
    return new Map([...catalog.models].filter(([name]) => keeps(catalog, name)))
  }

  function answerWith(catalog: Catalog, versions: ReadonlyMap<string, ModelVersion>): void {
    answers.set(catalog, versions)
    deps.onVersions({
      answering: versions,
      failed: failed.filter(({ model, version }) => catalog.models.has(model) && versions.get(model)?.version !== version),
    })
  }

  function settle(catalog: Catalog, chosen: SelectedVersions): void {
    failed = chosen.failed
    answerWith(catalog, chosen.answering)
    answers.forgetOthers()
    for (const { model, version, instead, error } of chosen.failed)
      log.error({ model, version, instead, error: messageOf(error) }, 'a model does not load')
    failures = failuresOf(chosen, (name, version) => {
      const model = catalog.models.get(name)
      return model !== undefined && loaded.served(model, version)?.tried === false
    })
    void loaded.loadReserves(catalog, keptModels(catalog))
  }

  async function prepare(catalog: Catalog): Promise<void> {
    await (warm ??= initializeOrt())
    const isStart = answers.now.size === 0
    const kept = keptModels(catalog)
    const left = new Set([...kept.values()].flatMap(({ name, versions }) => (versions.length === 0 ? [] : [name])))
    const chosenSoFar = new Map<string, ModelVersion>()
    /** The number of this preparation once the catalog is in force; until then 0. */
    let preparation = 0
    const isInForce = () => preparation > 0 && preparation === preparations
    const isSuperseded = () => preparation > 0 && preparation !== preparations
    const choosing = selectVersions(kept, {
      before: (model) => answers.now.get(model)?.version,
      async load(model, version) {
        // a version that a newer catalog does not need must not delay that catalog
        if (isSuperseded()) throw superseded
        const { served } = await loaded.open(catalog, model, version).loading
        requireTried(model, served)
      },
      isFatal: (error) => error === superseded || error === shutDown || isUnavailable(error),
      onOver: (model) => left.delete(model),
      onChosen(model, version) {
        left.delete(model)
        chosenSoFar.set(model, version)
        if (isInForce()) answerWith(catalog, new Map([...answers.now, [model, version]]))
      },
    })
    const meanwhile = await answersMeanwhile({ catalog, left, choosing }, { loaded, answers, patienceMs: deps.patienceMs })
    if (meanwhile === null) {
      const chosen = await choosing
      preparations++
      settle(catalog, chosen)
      return
    }
    preparation = ++preparations
    answerWith(catalog, new Map([...meanwhile, ...chosenSoFar]))
    if (isStart) {
      const texts = Array.from(left, (model) => `The trial run of the model "${model}" has not ended yet.`)
      failures = { ...failures, texts, models: [...left] }
    }
    // a newer catalog may be in force by then, and waits for the same loads itself
    const settled = (chosen: SelectedVersions) => {
      if (isInForce()) settle(catalog, chosen)
    }
    settling = choosing.then(settled, (error: unknown) => {
      if (!isInForce()) return
      log.warn({ error: messageOf(error) }, 'not all models are loaded')
      failures = { texts: [`Not all models are loaded: ${messageOf(error)}`], models: [...left], ofVersion: new Map() }
    })
  }

  return {
    async use(catalog, name, version, fn, { measured = true } = {}) {
      const model = catalog.model(name)
      const entry = loaded.open(catalog, model, answers.pick(catalog, model, version))
      entry.acquire()
      let begunMs: number | null = null
      try {
        const served = entry.served ?? (await entry.loading).served
        if (version === undefined) requireTried(model, served)
        if (measured !== false) begunMs = performance.now()
        return await fn(served)
      } catch (error) {
        if (begunMs !== null && measured === true) entry.metrics.failed()
        throw error
      } finally {
        if (begunMs !== null) entry.metrics.requested(performance.now() - begunMs)
        entry.release()
      }
    },
    async load(catalog, name, version) {
      const model = catalog.model(name)
      const entry = loaded.open(catalog, model, pickVersion(model, version))
      entry.acquire()
      try {
        return (await entry.loading).served
      } finally {
        entry.release()
      }
    },
    keeps,
    answering: answers.of,
    prepare,
    settled: () => settling,
    get failures() {
      return failures.texts
    },
    get allAnswer() {
      return failures.models.every((model) => answers.now.has(model))
    },
    failureOf: (model, version) => failures.ofVersion.get(`${model}@${version}`),
    retire(catalog) {
      const kept = [...keptModels(catalog).values()]
      const answering = kept.flatMap((model) => {
        const version = answers.of(catalog, model)
        return version === null ? [] : [[model, version] as const]
      })
      loaded.retire(catalog, [...kept, ...answers.models()], answering)
    },
    forgetAnswers: loaded.forgetAnswers,
    close() {
      preparations++
      return loaded.close()
    },
  }
}

const superseded = new Error('A newer catalog is in force.')
