import { readFile } from 'node:fs/promises'
import { LockstepError } from '../../kernel/errors.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { withExternalData } from '../../inference/external-data.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { ingestOnce } from '../../offline/ingest/ingest-once.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { ChangePlan } from '../../registry/changes/change-plan.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { forgetModelVersions } from '../../registry/changes/development.ts'
import type { NextTable } from '../../registry/changes/development-tables.ts'
import { makeNextTables, nextTable, takeNextTables } from '../../registry/changes/development-tables.ts'
import { withDeclaredInputs } from '../../registry/models/declared-inputs.ts'
import { bindModel } from '../../registry/models/model-binding.ts'
import { pushModel } from '../../registry/models/models.ts'
import { readersOf } from '../../registry/changes/source-readers.ts'
import { bumpRevision } from '../../registry/revision.ts'
import { startTurns } from '../../runtime/async.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { counted } from '../text/human.ts'
import { developmentSet } from './development-set.ts'
import type { ProjectFile } from './project-files.ts'
import { byName } from './project-files.ts'

export interface SessionDeps {
  /** A development store. */
  readonly db: Database
  readonly store: OnlineStore
  /** Has the server take in what was changed. */
  readonly refresh: () => Promise<void>
  /** Runs some work while nothing else brings the views up to date. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>
  readonly actor: string
  /** Called when a step that may take long begins. */
  readonly onStep: (text: string) => void
  readonly signal: AbortSignal
}

/** The files of a project that are not definitions. */
export interface ProjectRows {
  readonly rows: readonly ProjectFile[]
  readonly models: readonly ProjectFile[]
}

export interface SessionUpdate {
  readonly plan: ChangePlan
  readonly catalog: Catalog
  readonly loads: readonly Load[]
  readonly models: readonly ModelChange[]
  /** The views whose states were rebuilt. */
  readonly views: readonly string[]
  /** The parts of it that do not work. The rest is served. */
  readonly problems: readonly LockstepError[]
}

export interface Load {
  readonly source: string
  /** null: there is no file, so the table is empty. */
  readonly path: string | null
  readonly rows: number
}

export interface ModelChange {
  readonly model: string
  /** null: its file is gone, and it is not served. */
  readonly path: string | null
  /** Set if the file was refused: whether the previous file is still served. */
  readonly refused?: 'kept' | 'unserved'
}

export interface DevSession {
  /**
   * Brings the store to what a fresh one would hold after `apply`, `ingest`, `model push` and `materialize` of these
   * definitions and files. Only what has changed is done. Events that were pushed stay until the file or the columns of
   * their source change.
   *
   *     fill new tables -> apply, with the tables, in one transaction -> push models -> rebuild states
   *
   * @throws LockstepError if a row, a file or a definition is refused; then nothing has changed
   */
  update(set: DefinitionSet, files: ProjectRows): Promise<SessionUpdate>
}

interface NextRows extends NextTable {
  readonly file: ProjectFile | null
  readonly key: string
}

export function createDevSession(deps: SessionDeps): DevSession {
  const { db, store, signal } = deps
  // statements block the process: between them the signal can arrive
  const turns = startTurns(signal)
  /** The state of the session: the tables by source, the pushed files by model, the states by view. */
  let tables: ReadonlyMap<string, string> = new Map()
  const pushed = new Map<string, { readonly file: string; readonly fits: string }>()
  const states = new Map<string, string>()

  function nextRows({ entities, sources, views, outcomes, experiments }: DefinitionSet, rows: readonly ProjectFile[]): NextRows[] {
    const files = byName(rows)
    const readers = readersOf({ views, outcomes, experiments })
    const keys = entities.map(({ spec }) => spec)
    return sources.flatMap(({ spec }) => {
      const table = nextTable(spec, readers, keys)
      const file = files.get(spec.name) ?? null
      return table === null ? [] : [{ ...table, file, key: JSON.stringify([table.create, file?.path, file?.stamp]) }]
    })
  }

  async function fill(next: readonly NextRows[]): Promise<Load[]> {
    if (next.length > 0) await makeNextTables(db.kysely, next)
    const loads: Load[] = []
    const files = next.filter(({ file }) => file !== null).length
    if (files > 0) deps.onStep(`Loading ${counted(files, 'file')} of rows`)
    for (const { source, filling, file } of next) {
      const path = file?.path ?? null
      const how = { signal, again: true, actor: 'lockstep dev' }
      loads.push({ source, path, rows: path === null ? 0 : (await ingestOnce(db, filling, path, how)).rows })
    }
    return loads
  }

  async function pushModels(
    catalog: Catalog,
    files: ReadonlyMap<string, ProjectFile>,
  ): Promise<Pick<SessionUpdate, 'models' | 'problems'>> {
    const models: ModelChange[] = []
    const problems: LockstepError[] = []
    for (const name of pushed.keys()) {
      if (catalog.models.has(name) && files.has(name)) continue
      await forget(name)
      models.push({ model: name, path: null })
    }
    const due = [...catalog.models.values()].flatMap((model) => {
      const file = files.get(model.name)
      if (file === undefined) return []
      const fits = JSON.stringify([model.spec, catalog.services.get(model.spec.service)?.fingerprint])
      const before = pushed.get(model.name)
      return before?.file === file.stamp && before.fits === fits ? [] : [{ model, file, fits, before }]
    })
    if (due.length > 0) deps.onStep(`Loading ${counted(due.length, 'model')}`)
    for (const { model, file, fits, before } of due) {
      try {
        await push(catalog, model, file)
        pushed.set(model.name, { file: file.stamp, fits })
        models.push({ model: model.name, path: file.path })
      } catch (error) {
        if (!(error instanceof LockstepError)) throw error
        problems.push(error)
        // a version of a former service does not fit the present one
        if (before !== undefined && before.fits !== fits) await forget(model.name)
        models.push({ model: model.name, path: file.path, refused: pushed.has(model.name) ? 'kept' : 'unserved' })
      }
    }
    return { models, problems }
  }

  async function push(catalog: Catalog, model: CatalogModel, { path }: ProjectFile): Promise<void> {
    const bytes = await withExternalData(await readFile(path), path)
    const contract = await inspectModel(bytes, { file: path })
    // what can be refused is refused before the present version goes
    bindModel(catalog.service(model.spec.service), withDeclaredInputs(contract, model.spec), model.spec)
    await forgetModelVersions(db.kysely, model.name)
    await pushModel(db, { model: model.name, bytes, contract, actor: deps.actor })
  }

  async function forget(model: string): Promise<void> {
    pushed.delete(model)
    await forgetModelVersions(db.kysely, model)
    await bumpRevision(db.kysely)
  }

  async function materialize(catalog: Catalog): Promise<{ views: string[]; problems: LockstepError[] }> {
    const views: string[] = []
    const problems: LockstepError[] = []
    const keyOf = (plan: ViewPlan): string => JSON.stringify([plan.fingerprint, tables.get(plan.spec.source.name)])
    const stale = [...catalog.online].flatMap((id) => catalog.views.get(id) ?? []).filter((plan) => states.get(plan.id) !== keyOf(plan))
    if (stale.length > 0) deps.onStep(`Materializing ${counted(stale.length, 'view')}`)
    for (const plan of stale) {
      try {
        problems.push(...(await rebuild(plan)))
        states.set(plan.id, keyOf(plan))
        views.push(plan.id)
      } catch (error) {
        if (!(error instanceof LockstepError) || signal.aborted) throw error
        states.delete(plan.id)
        problems.push(error)
      }
    }
    return { views, problems }
  }

  async function rebuild(plan: ViewPlan): Promise<readonly LockstepError[]> {
    const { tooLarge, setAside } = await materializeView(db, store, plan, { rebuild: true, signal })
    return [...tooLarge.errors, ...setAside.errors]
  }

  return {
    async update(declared, files) {
      const set = developmentSet(declared)
      const all = nextRows(set, files.rows)
      const next = all.filter(({ source, key }) => tables.get(source) !== key)
      const models = byName(files.models)
      const loads = await fill(next)
      await turns.next()
      return await deps.alone(async () => {
        const { plan } = await applyChanges(db, set, {
          prune: true,
          breakModels: true,
          replace: true,
          privateAddresses: true,
          by: { actor: deps.actor },
          beforePlan: (transaction) => takeNextTables(transaction, next),
        })
        await turns.next()
        tables = new Map(all.map(({ source, key }) => [source, key]))
        const served = await pushModels(await loadCatalog(db), models)
        await turns.next()
        // from here on requests find a changed view incomplete, and not its old states under its new definition
        await deps.refresh()
        const catalog = await loadCatalog(db)
        const made = await materialize(catalog)
        await deps.refresh()
        return { plan, catalog, loads, models: served.models, views: made.views, problems: [...served.problems, ...made.problems] }
      })
    },
  }
}
