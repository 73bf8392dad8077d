import { LockstepError } from '../../kernel/errors.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import type { OpenModel } from '../../inference/open-model.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { openUnserved } from '../../inference/open-unserved.ts'
import type { BatchSpec } from './batch-spec.ts'
import type { BatchModel } from './write-batch-part.ts'

export interface BatchTools {
  readonly db: Database
  catalog(): Promise<Catalog>
  readonly log: Logger
  /** The online store, for batches whose predictions are served. Absent: this process has none. */
  readonly store?: (() => Promise<OnlineStore>) | undefined
}

/** The models of batches. A model stays loaded until a step uses another one. */
export interface BatchModels {
  /**
   * Calls `fn` with the pinned model of a batch, which stays loaded until `fn` is done.
   *
   * @throws LockstepError `NOT_REPRODUCIBLE` where the version or its service is not the pinned one, and what `fn`
   *   throws
   */
  use<T>(spec: BatchSpec, fn: (model: BatchModel) => Promise<T>): Promise<T>
  /** Unloads all models. Call it when no step runs. */
  close(): Promise<void>
}

interface Held {
  readonly opened: Promise<OpenModel>
  users: number
}

export function createBatchModels({ db, catalog, log }: BatchTools): BatchModels {
  const pool = createProcessPool()
  const held = new Map<string, Held>()

  function open({ request: { model: name }, version }: BatchSpec, known: Catalog): Promise<OpenModel> {
    const model = known.model(name)
    const { binding } = bindVersion(known, model.spec, pickVersion(model, version))
    return openUnserved(() => readModelBytes(db, name, version), {
      binding,
      name: `${name}@${version}`,
      operational: model.operational,
      pool,
      log,
    })
  }

  function take(key: string, opens: () => Promise<OpenModel>): Held {
    for (const [other, entry] of held) if (other !== key && entry.users === 0) void drop(other, entry)
    let entry = held.get(key)
    if (entry === undefined) {
      entry = { opened: opens(), users: 0 }
      entry.opened.catch(() => held.delete(key))
      held.set(key, entry)
    }
    entry.users++
    return entry
  }

  async function drop(key: string, { opened }: Held): Promise<void> {
    held.delete(key)
    await opened.then((model) => model.close()).catch(() => undefined)
  }

  return {
    async use(spec, fn) {
      const known = await catalog()
      const model = known.model(spec.request.model)
      const version = pickVersion(model, spec.version)
      const { service } = bindVersion(known, model.spec, version)
      if (version.sha256 !== spec.sha256 || service.fingerprint !== spec.service.fingerprint) {
        throw new LockstepError(
          'NOT_REPRODUCIBLE',
          `The model "${model.name}@${spec.version}" or its service is not the one that the batch "${spec.id}" was begun with. Begin the batch again.`,
        )
      }
      const entry = take(`${model.name}@${spec.version} ${spec.sha256}`, () => open(spec, known))
      try {
        const { outputs, runColumns } = await entry.opened
        return await fn({ service, outputs, run: runColumns })
      } finally {
        entry.users--
      }
    },
    async close() {
      await Promise.all([...held].map(([key, entry]) => drop(key, entry)))
      pool.close()
    },
  }
}
