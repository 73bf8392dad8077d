import { setTimeout as sleep } from 'node:timers/promises'
import { initializeOrt } from '../../inference/initialize-ort.ts'
import { messageOf } from '../../kernel/errors.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { createAnsweringVersions } from './answering-versions.ts'
import type { ServedModel } from './load-version.ts'
import type { LoadedVersionsDeps } from './loaded-versions.ts'
import { createLoadedVersions, isUnavailable, shutDown } from './loaded-versions.ts'
import type { FailedVersion, SelectedVersions } from './select-versions.ts'
import { selectVersions } from './select-versions.ts'
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

const lookMs = 100

export function createModelHost(deps: ModelHostDeps): ModelHost {
  const { log, keeps = () => true } = deps
  const loaded = createLoadedVersions(deps)
  const answers = createAnsweringVersions(loaded)
  let failed: readonly FailedVersion[] = []
  let warm: Promise<void> | null = null
  let failures: readonly string[] = []
  /** The models that they are about. */
  let failing: readonly string[] = []
  /** Those that are of one version, by `name@version`. */
  let failuresOf: ReadonlyMap<string, string> = new Map()
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

  /** Whether a start need not wait for the models that are left, because the trial of each takes long. */
  async function isLeftToTrials(left: ReadonlySet<string>, choosing: Promise<unknown>): Promise<boolean> {
    let over = false
    const done = choosing.finally(() => (over = true))
    done.catch(() => undefined)
    while (!over) {
      if (left.size > 0 && [...left].every(loaded.isInSlowTrial)) return true
      await Promise.race([done, sleep(lookMs, undefined, { ref: false })])
    }
    return false
  }

  /** What answers while the rest loads, after the patience is over; null: all is loaded, or must be. */
  async function answersMeanwhile(
    catalog: Catalog,
    left: ReadonlySet<string>,
    choosing: Promise<unknown>,
  ): Promise<ReadonlyMap<string, ModelVersion> | null> {
    if (deps.patienceMs === undefined) return null
    const timeout = sleep(deps.patienceMs, 'timeout' as const, { ref: false })
    if ((await Promise.race([choosing, timeout])) !== 'timeout') return null
    const found = answers.loadedFor(catalog)
    if (found !== null || answers.now.size > 0) return found
    return (await isLeftToTrials(left, choosing)) ? new Map() : null
  }

  function settle(catalog: Catalog, chosen: SelectedVersions): void {
    failed = chosen.failed
    answerWith(catalog, chosen.answering)
    answers.forgetOthers()
    const untried = [...chosen.answering].flatMap(([name, version]) => {
      const model = catalog.models.get(name)
      const served = model === undefined ? null : loaded.served(model, version)
      const id = `${name}@${version.version}`
      return served?.tried === false ? [[id, `The model "${id}" answers although its trial run on made-up rows did not end.`] as const] : []
    })
    const unusable = chosen.failed.map(({ model, version, error, instead }) => {
      const message = messageOf(error)
      log.error({ model, version, instead, error: message }, 'a model does not load')
      const other = instead === null ? '' : `, and "${model}@${instead}" answers instead`
      return [`${model}@${version}`, `The model "${model}@${version}" cannot be used${other}: ${message}`] as const
    })
    failuresOf = new Map([...untried, ...unusable])
    failures = [...unusable, ...untried].map(([, text]) => text)
    failing = failed.map(({ model }) => model)
    void loaded.loadReserves(catalog, keptModels(catalog))
  }

  return {
    async use(catalog, name, version, fn, { measured = true } = {}) {
      const model = catalog.model(name)
      const entry = loaded.open(catalog, model, answers.pick(catalog, model, version))
      entry.users++
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
        loaded.release(entry)
      }
    },
    async load(catalog, name, version) {
      const model = catalog.model(name)
      const entry = loaded.open(catalog, model, pickVersion(model, version))
      entry.users++
      try {
        return (await entry.loading).served
      } finally {
        loaded.release(entry)
      }
    },
    keeps,
    answering: answers.of,
    async prepare(catalog) {
      await (warm ??= initializeOrt())
      let preparation = 0
      const isStart = answers.now.size === 0
      const chosenSoFar = new Map<string, ModelVersion>()
      const kept = keptModels(catalog)
      const left = new Set([...kept.values()].flatMap(({ name, versions }) => (versions.length === 0 ? [] : [name])))
      const choosing = selectVersions(kept, {
        before: (model) => answers.now.get(model)?.version,
        async load(model, version) {
          // a version that a newer catalog does not need must not delay that catalog
          if (preparation > 0 && preparation !== preparations) throw superseded
          const { served } = await loaded.open(catalog, model, version).loading
          requireTried(model, served)
        },
        isFatal: (error) => error === superseded || error === shutDown || isUnavailable(error),
        onOver: (model) => left.delete(model),
        onChosen(model, version) {
          left.delete(model)
          chosenSoFar.set(model, version)
          // if the catalog is in force already
          if (preparation > 0 && preparation === preparations) answerWith(catalog, new Map([...answers.now, [model, version]]))
        },
      })
      const meanwhile = await answersMeanwhile(catalog, left, choosing)
      if (meanwhile === null) {
        const chosen = await choosing
        preparations++
        settle(catalog, chosen)
        return
      }
      preparation = ++preparations
      answerWith(catalog, new Map([...meanwhile, ...chosenSoFar]))
      if (isStart) {
        failing = [...left]
        failures = failing.map((model) => `The trial run of the model "${model}" has not ended yet.`)
      }
      // a newer catalog may be in force by then, and waits for the same loads itself
      const settled = (chosen: SelectedVersions) => {
        if (preparation === preparations) settle(catalog, chosen)
      }
      settling = choosing.then(settled, (error: unknown) => {
        if (preparation !== preparations) return
        log.warn({ error: messageOf(error) }, 'not all models are loaded')
        failures = [`Not all models are loaded: ${messageOf(error)}`]
        failing = [...left]
        failuresOf = new Map()
      })
    },
    settled: () => settling,
    get failures() {
      return failures
    },
    get allAnswer() {
      return failing.every((model) => answers.now.has(model))
    },
    failureOf: (model, version) => failuresOf.get(`${model}@${version}`),
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
