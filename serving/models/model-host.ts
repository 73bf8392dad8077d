import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../runtime/log.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { bindVersion } from '../../registry/bind-version.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/model-versions.ts'
import type { VersionReference } from '../../registry/pick-version.ts'
import { pickVersion } from '../../registry/pick-version.ts'
import type { LoadedVersion } from './loaded-version.ts'
import type { SelectedVersions, FailedVersion } from './select-versions.ts'
import { selectVersions } from './select-versions.ts'
import type { OpenModel } from '../../inference/open-model.ts'
import { openModel } from '../../inference/open-model.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import { initializeOrt } from '../../inference/initialize-ort.ts'
import type { RunMetrics, VersionMetrics } from './run-metrics.ts'
import { mayAnswer, requireTried, reserves } from './version-rules.ts'
import { warmUpRow } from './warm-up-models.ts'

/** A model version as requests use it. */
export interface ServedModel extends Omit<OpenModel, 'close'> {
  readonly version: ModelVersion
  readonly service: ServicePlan
  /** Counts a request that failed, where `use` measures its time alone. */
  requestFailed(): void
}

export interface ModelHostDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` where they cannot be read now */
  readonly readBytes: (model: string, version: number) => Promise<Uint8Array>
  readonly metrics: RunMetrics
  /** Called with the versions that serve requests from now on. */
  readonly onVersions: (chosen: SelectedVersions) => void
  readonly log: Logger
  /** Milliseconds, for the time that a version was last used. */
  readonly now: () => number
  /**
   * How long `prepare` waits for what a model is to answer with from now on, where it has something else to answer
   * with; milliseconds. Absent: as long as it takes.
   */
  readonly patienceMs?: number
}

/**
 * Keeps model versions loaded.
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

const failureKeptMs = 2000
/** A warm-up that takes longer continues in the background, so that the rest of the catalog does not wait for it. */
const warmUpMs = 1000
const unusedMs = 5 * 60_000
/**
 * A version whose trial did not end is loaded again after this time, because a busy machine may have been the cause.
 */
const untriedKeptMs = 5 * 60_000
/** The start of a server does not wait for a trial that takes longer. */
const slowTrialMs = 1500
const lookMs = 100

export function createModelHost(deps: ModelHostDeps): ModelHost {
  const { log, metrics, now } = deps
  const entries = new Map<string, LoadedVersion>()
  const identities = new WeakMap<ModelVersion, string>()
  const chosenFor = new WeakMap<Catalog, ReadonlyMap<string, ModelVersion>>()
  /** By model: what answers from now on. It may be of a catalog before the newest. */
  let answered: ReadonlyMap<string, ModelVersion> = new Map()
  /** By model: the state in which it answers. It keeps it while a newer catalog waits for the model to load. */
  const asAnswered = new Map<string, { readonly model: CatalogModel; readonly revision: number }>()
  let failed: readonly FailedVersion[] = []
  const pool = createProcessPool()
  let warm: Promise<void> | null = null
  let failures: readonly string[] = []
  /** Those that are of one version, by `name@version`. */
  let failuresOf: ReadonlyMap<string, string> = new Map()
  let newestCatalog: Catalog | null = null
  let preparations = 0
  let settling: Promise<void> = Promise.resolve()
  let closed = false

  /**
   * Versions never change, but a model's declared outputs and how it is run may: then it is loaded again. Remembered
   * for the versions of one catalog.
   */
  function identity(model: CatalogModel, version: ModelVersion): string {
    let known = identities.get(version)
    if (known === undefined) {
      known = JSON.stringify([
        model.name,
        version.version,
        version.sha256,
        version.serviceFingerprint,
        model.spec.output,
        model.operational,
      ])
      identities.set(version, known)
    }
    return known
  }

  function open(catalog: Catalog, model: CatalogModel, version: ModelVersion): LoadedVersion {
    // a load that starts after the close would leave its process behind
    if (closed) throw shutDown
    const id = identity(model, version)
    const known = entries.get(id)
    const { revision } = catalog
    if (known !== undefined) {
      known.revision = Math.max(known.revision, revision)
      return known
    }
    const ofVersion = metrics.of(model.name, version.version)
    const entry: LoadedVersion = {
      metrics: ofVersion,
      loading: load(catalog, model, version, ofVersion, () => (entry.triedSince = now())),
      model: model.name,
      triedSince: null,
      served: null,
      users: 0,
      lastUsed: now(),
      revision,
      onUnused: null,
    }
    entries.set(id, entry)
    // A failure is kept for a moment, so that requests do not repeat a load that fails. A database that is down may be
    // back by the next request.
    const loaded = ({ served }: { served: ServedModel }) => {
      entry.served = served
      if (served.tried) return
      const again = () => {
        if (entries.get(id) !== entry || mayAnswer(newestCatalog?.models.get(model.name) ?? model, served)) return
        entries.delete(id)
        if (entry.users === 0) discard(entry)
        else entry.onUnused = () => discard(entry)
      }
      setTimeout(again, untriedKeptMs).unref()
    }
    entry.loading.then(loaded, (error: unknown) => {
      const forget = () => {
        if (entries.get(id) === entry) entries.delete(id)
      }
      if (isUnavailable(error)) forget()
      else setTimeout(forget, failureKeptMs).unref()
    })
    return entry
  }

  async function load(catalog: Catalog, model: CatalogModel, version: ModelVersion, ofVersion: VersionMetrics, onTrial: () => void) {
    const { service, binding } = bindVersion(catalog, model.spec, version)
    const { close, ...opened } = await openModel(() => deps.readBytes(model.name, version.version), {
      binding,
      name: `${model.name}@${version.version}`,
      operational: model.operational,
      onRun: ofVersion.run,
      onWait: ofVersion.waited,
      onLookups: ofVersion.lookedUp,
      onEnd(reason) {
        ofVersion.ended(reason)
        log.error({ model: model.name, version: version.version, reason }, 'a model process ended during a run')
      },
      pool,
      log,
      onTrial,
    })
    log.info({ model: model.name, version: version.version, place: opened.place }, 'a model is loaded')
    // a model may not take the made-up row: the failure is logged, and does not refuse the version
    const warmedUp = opened
      .predict([warmUpRow(service)])
      .catch((error: unknown) =>
        log.warn({ model: model.name, version: version.version, error: messageOf(error) }, 'a model was not warmed up'),
      )
    await Promise.race([warmedUp, sleep(warmUpMs, undefined, { ref: false })])
    return { served: { ...opened, version, service, requestFailed: ofVersion.failed }, close }
  }

  function answering(catalog: Catalog, model: CatalogModel): ModelVersion | null {
    return chosenFor.get(catalog)?.get(model.name) ?? (model.versions.length === 0 ? null : pickVersion(model))
  }

  /** Loads the versions that may serve next, one after the other. */
  async function loadReserves(catalog: Catalog): Promise<void> {
    if (closed) return
    newestCatalog = catalog
    for (const model of catalog.models.values()) {
      for (const version of reserves(model)) {
        await open(catalog, model, version).loading.catch((error: unknown) =>
          log.warn(
            { model: model.name, version: version.version, error: messageOf(error) },
            'a model version that may be served next does not load',
          ),
        )
        if (newestCatalog !== catalog) return
      }
    }
  }

  function isLoaded(model: CatalogModel, version: ModelVersion): boolean {
    const served = entries.get(identity(model, version))?.served ?? null
    return served !== null && mayAnswer(model, served)
  }

  /** The version as the catalog has it, if that is loaded; else as it last served. */
  function loadedAs({ revision }: Catalog, model: CatalogModel, version: ModelVersion): ModelVersion | undefined {
    if (isLoaded(model, version)) return version
    const former = asAnswered.get(model.name)
    // a request that began under an older catalog keeps to that catalog
    if (former === undefined || former.revision >= revision) return undefined
    return former.model.versions.find((each) => each.version === version.version && isLoaded(former.model, each))
  }

  /**
   * What there is to answer with at once: what is to answer, else what has until now, be it of a model as it was;
   * nothing of one that has not answered yet. null: one that has lacks both.
   */
  function loadedFor(catalog: Catalog): Map<string, ModelVersion> | null {
    if (answered.size === 0) return null
    const found = new Map<string, ModelVersion>()
    for (const model of catalog.models.values()) {
      if (model.versions.length === 0) continue
      const before = answered.get(model.name)
      const loaded = loadedAs(catalog, model, pickVersion(model)) ?? (before !== undefined && isLoaded(model, before) ? before : undefined)
      if (loaded !== undefined) found.set(model.name, loaded)
      else if (answered.has(model.name)) return null
    }
    return found
  }

  function answerWith(catalog: Catalog, versions: ReadonlyMap<string, ModelVersion>): void {
    chosenFor.set(catalog, versions)
    answered = versions
    for (const [name, version] of versions) {
      const model = catalog.models.get(name)
      if (model?.versions.includes(version) === true) asAnswered.set(name, { model, revision: catalog.revision })
    }
    deps.onVersions({
      answering: versions,
      failed: failed.filter(({ model, version }) => catalog.models.has(model) && versions.get(model)?.version !== version),
    })
  }

  /** @param asked absent: the one that answers */
  function versionFor(catalog: Catalog, model: CatalogModel, asked: VersionReference | undefined): ModelVersion {
    const chosen = asked === undefined ? chosenFor.get(catalog)?.get(model.name) : undefined
    // the version that served in its place may be unloaded, for a request that began before
    if (chosen !== undefined && (isLoaded(model, chosen) || model.versions.includes(chosen))) return chosen
    const version = pickVersion(model, asked)
    return loadedAs(catalog, model, version) ?? version
  }

  /**
   * At a start: waits until all is loaded, or all but versions whose trial takes long, which nothing waits for. null:
   * all is loaded.
   */
  async function loadedButTried(left: ReadonlySet<string>, choosing: Promise<unknown>): Promise<Map<string, ModelVersion> | null> {
    if (answered.size > 0) return null
    let over = false
    const done = choosing.finally(() => (over = true))
    done.catch(() => undefined)
    const isTried = (model: string) =>
      [...entries.values()].some(
        (entry) => entry.model === model && entry.served === null && entry.triedSince !== null && now() - entry.triedSince >= slowTrialMs,
      )
    while (!over) {
      if (left.size > 0 && [...left].every(isTried)) return new Map()
      await Promise.race([done, sleep(lookMs, undefined, { ref: false })])
    }
    return null
  }

  function settle(catalog: Catalog, chosen: SelectedVersions): void {
    failed = chosen.failed
    answerWith(catalog, chosen.answering)
    // requests for a model of which nothing loads get the error
    for (const name of asAnswered.keys()) if (!chosen.answering.has(name)) asAnswered.delete(name)
    const untried = [...chosen.answering].flatMap(([name, version]) => {
      const model = catalog.models.get(name)
      const served = model === undefined ? null : (entries.get(identity(model, version))?.served ?? null)
      const id = `${name}@${version.version}`
      return served?.tried === false ? [[id, `The model "${id}" answers although its trial run on made-up rows did not end.`] as const] : []
    })
    const unusable = chosen.failed.map(({ model, version, error, instead }) => {
      const message = messageOf(error)
      log.error({ model, version, instead, error: message }, 'a model does not load')
      const answers = instead === null ? '' : `, and "${model}@${instead}" answers instead`
      return [`${model}@${version}`, `The model "${model}@${version}" cannot be used${answers}: ${message}`] as const
    })
    failuresOf = new Map([...untried, ...unusable])
    failures = [...unusable, ...untried].map(([, text]) => text)
    void loadReserves(catalog)
  }

  function unuse(entry: LoadedVersion): void {
    entry.users--
    entry.lastUsed = now()
    if (entry.users === 0) entry.onUnused?.()
  }

  function discard(entry: LoadedVersion): void {
    entry.loading
      .then(
        ({ close }) => close(),
        () => undefined,
      )
      .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'a model could not be unloaded'))
  }

  return {
    async use(catalog, name, version, fn, { measured = true } = {}) {
      const model = catalog.model(name)
      const entry = open(catalog, model, versionFor(catalog, model, version))
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
        unuse(entry)
      }
    },
    async load(catalog, name, version) {
      const model = catalog.model(name)
      const entry = open(catalog, model, pickVersion(model, version))
      entry.users++
      try {
        return (await entry.loading).served
      } finally {
        unuse(entry)
      }
    },
    answering,
    async prepare(catalog) {
      await (warm ??= initializeOrt())
      let preparation = 0
      const isStart = answered.size === 0
      const chosenSoFar = new Map<string, ModelVersion>()
      const left = new Set([...catalog.models.values()].flatMap(({ name, versions }) => (versions.length === 0 ? [] : [name])))
      const choosing = selectVersions(catalog, {
        before: (model) => answered.get(model)?.version,
        async load(model, version) {
          // a version that a newer catalog does not need must not delay that catalog
          if (preparation > 0 && preparation !== preparations) throw superseded
          const { served } = await open(catalog, model, version).loading
          requireTried(model, served)
        },
        isFatal: (error) => error === superseded || error === shutDown || isUnavailable(error),
        onOver: (model) => left.delete(model),
        onChosen(model, version) {
          left.delete(model)
          chosenSoFar.set(model, version)
          // if the catalog is in force already
          if (preparation > 0 && preparation === preparations) answerWith(catalog, new Map([...answered, [model, version]]))
        },
      })
      if (deps.patienceMs !== undefined) {
        const timeout = sleep(deps.patienceMs, 'timeout' as const, { ref: false })
        const meanwhile =
          (await Promise.race([choosing, timeout])) === 'timeout' ? (loadedFor(catalog) ?? (await loadedButTried(left, choosing))) : null
        if (meanwhile !== null) {
          preparation = ++preparations
          answerWith(catalog, new Map([...meanwhile, ...chosenSoFar]))
          if (isStart) failures = [...left].map((model) => `The trial run of the model "${model}" has not ended yet.`)
          // a newer catalog may be in force by then, and waits for the same loads itself
          const settled = (chosen: SelectedVersions) => {
            if (preparation === preparations) settle(catalog, chosen)
          }
          settling = choosing.then(settled, (error: unknown) => {
            if (preparation !== preparations) return
            log.warn({ error: messageOf(error) }, 'not all models are loaded')
            failures = [`Not all models are loaded: ${messageOf(error)}`]
            failuresOf = new Map()
          })
          return
        }
      }
      const chosen = await choosing
      preparations++
      settle(catalog, chosen)
    },
    settled: () => settling,
    get failures() {
      return failures
    },
    failureOf: (model, version) => failuresOf.get(`${model}@${version}`),
    retire(catalog) {
      const known = new Set<string>()
      const kept = new Set<string>()
      for (const model of [...catalog.models.values(), ...Array.from(asAnswered.values(), (former) => former.model)]) {
        for (const version of model.versions) known.add(identity(model, version))
        for (const version of reserves(model)) kept.add(identity(model, version))
      }
      for (const model of catalog.models.values()) {
        const version = answering(catalog, model)
        if (version !== null) kept.add(identity(model, version))
      }
      const unusedSince = now() - unusedMs
      for (const [id, entry] of entries) {
        const unused = entry.users === 0 && entry.lastUsed <= unusedSince
        // an older catalog does not have what was loaded for a newer one
        if (entry.revision > catalog.revision || kept.has(id) || (known.has(id) && !unused)) continue
        entries.delete(id)
        if (entry.users === 0) discard(entry)
        else entry.onUnused = () => discard(entry)
      }
    },
    forgetAnswers() {
      for (const { loading } of entries.values()) {
        loading.then(
          ({ served }) => served.forgetAnswers(),
          () => undefined,
        )
      }
    },
    async close() {
      closed = true
      newestCatalog = null
      preparations++
      const open = [...entries.values()]
      entries.clear()
      // a request continues after its client disconnects
      const used = open.filter(({ users }) => users > 0)
      await Promise.all(used.map((entry) => new Promise<void>((resolve) => (entry.onUnused = resolve))))
      for (const { loading } of open) await loading.then(({ close }) => close()).catch(() => undefined)
      pool.close()
    },
  }
}

const superseded = new Error('A newer catalog is in force.')
const shutDown = new LockstepError('NOT_READY', 'The server is shutting down.')

/** Whether the version may load once the database is available again. */
function isUnavailable(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'POSTGRES_UNAVAILABLE'
}
