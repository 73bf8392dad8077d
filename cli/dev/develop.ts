import { dirname, relative, resolve } from 'node:path'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import type { PollLoop } from '../../runtime/async.ts'
import { startPollLoop } from '../../runtime/async.ts'
import { duration } from '../text/human.ts'
import { createTypeCheck, lacksCompiler } from './check-types.ts'
import { problemText, updateLines } from './change-text.ts'
import type { DefinitionsLoader, LoadedDefinitions } from './definitions-loader.ts'
import { replacedSources } from './development-set.ts'
import type { ProjectFile } from './project-files.ts'
import { filesIn, misnamed, modelEndings, rowEndings, fileStamp } from './project-files.ts'
import type { DevSession, ProjectRows } from './session.ts'
import { watchFolders } from './watch-folders.ts'

export interface Project {
  /** The folder of `data/` and `models/`, absolute. Paths are printed from here on. */
  readonly folder: string
  /** The definitions file, absolute. */
  readonly file: string
}

export interface DevelopDeps {
  readonly session: DevSession
  readonly loader: DefinitionsLoader
  /** When the user started it, by `performance.now()`. */
  readonly startedMs: number
  /** Prints some lines. */
  readonly say: (text: string) => void
  /** Called when a step that may take long begins. */
  readonly onStep: (text: string) => void
  /** Aborted when the process is asked to end. */
  readonly signal: AbortSignal
}

export interface Developing {
  /** The first update. */
  readonly first: Promise<void>
  /** The registry as it is served; null until a definitions file was accepted. */
  readonly catalog: Catalog | null
  /** Ends the load of the definitions that is under way, or waits for the update. */
  close(): Promise<void>
}

/** How often files are looked at, for file systems that report no changes. */
const pollMs = 1_000

/** Brings what is served up to date whenever a file of the project changes, and says what has changed. */
export function develop({ folder, file }: Project, { session, loader, say, onStep, startedMs, signal }: DevelopDeps): Developing {
  const rowsFolder = resolve(folder, 'data')
  const modelsFolder = resolve(folder, 'models')
  let loaded: LoadedDefinitions | null = null
  /** The definitions, as they were loaded. */
  let stamps: ReadonlyMap<string, string | null> = new Map()
  /** What lay beside definitions that did not load, and that they may have missed. */
  let beside = ''
  let filesBefore = ''
  let good: DefinitionSet | null = null
  let catalog: Catalog | null = null
  let noted: ReadonlySet<string> = new Set()

  async function look(): Promise<void> {
    try {
      await bringUpToDate()
    } catch (error) {
      if (!signal.aborted) refuse(error instanceof LockstepError ? error : { code: 'INTERNAL', message: messageOf(error) })
    }
  }

  async function bringUpToDate(): Promise<void> {
    const files: ProjectRows = { rows: filesIn(rowsFolder, rowEndings), models: filesIn(modelsFolder, modelEndings) }
    const present = await presentDefinitions()
    const filesNow = JSON.stringify(files)
    const areFilesNew = filesNow !== filesBefore
    if (!present.isNew && !areFilesNew) return
    filesBefore = filesNow
    const { set, error } = present.loaded
    if (present.isNew && error !== null) refuse(error)
    // rows and models change what the previous version serves
    const next = set ?? (areFilesNew ? good : null)
    if (next !== null) await update(next, files, present)
    if (present.isNew && error === null) types.begin()
  }

  /** The definitions as they are now. */
  async function presentDefinitions(): Promise<Present> {
    const started = loaded === null ? startedMs : performance.now()
    const isSame =
      [...stamps].every(([path, stamp]) => fileStamp(path) === stamp) && (beside === '' || besideOf([...stamps.keys()]) === beside)
    if (loaded !== null && isSame) return { loaded, isNew: false, started }
    // taken before the load, so that an edit meanwhile is seen the next time
    const before = new Map([...stamps.keys(), file].map((path) => [path, fileStamp(path)]))
    onStep(`Compiling ${relative(folder, file)}`)
    loaded = await loader.load()
    signal.throwIfAborted()
    // the file too, which may be a link to the first of them
    stamps = new Map([...loaded.files, file].map((path) => [path, before.get(path) ?? fileStamp(path)]))
    beside = loaded.error === null ? '' : besideOf(loaded.files)
    watcher.follow([...foldersOf(loaded.files), folder, rowsFolder, modelsFolder])
    return { loaded, isNew: true, started }
  }

  async function update(set: DefinitionSet, files: ProjectRows, { loaded: { places, error }, started }: Present): Promise<void> {
    const updated = await session.update(set, files)
    const head = good === null ? 'Ready' : 'Updated'
    good = set
    catalog = updated.catalog
    const lines = [
      ...updateLines(updated, folder),
      ...notesOn(set, files).map((note) => `  note   ${note}`),
      ...updated.problems.map((problem) => problemText(problem, places, folder)),
    ]
    if (error !== null && lines.length === 0) return
    say(lines.length === 0 ? 'Accepted: nothing changed.' : [`${head} in ${duration(performance.now() - started)}:`, ...lines].join('\n'))
  }

  function refuse(error: Pick<LockstepError, 'code' | 'message'>): void {
    say(
      [
        problemText(error, loaded?.places ?? [], folder),
        good === null ? 'Nothing is served yet.' : 'The previous version is still served.',
      ].join('\n'),
    )
  }

  /** Each note is printed once. */
  function notesOn(set: DefinitionSet, { rows, models }: ProjectRows): string[] {
    const names = set.sources.map(({ spec }) => spec.name)
    const modelNames = set.models.map(({ spec }) => spec.name)
    const lacking = (wanted: readonly string[], present: readonly ProjectFile[]): string[] =>
      wanted.filter((name) => !present.some((each) => each.name === name))
    const all = [
      ...replacedSources(set),
      ...lacking(names, rows).map((name) => `The source "${name}" has no rows: put some into data/${name}.csv, .jsonl or .parquet.`),
      ...lacking(modelNames, models).map((name) => `The model "${name}" has no file: put one into models/${name}.onnx.`),
      ...misnamed(rows, 'source', names),
      ...misnamed(models, 'model', modelNames),
      ...(lacksCompiler(folder)
        ? ['Types are not checked, because TypeScript is not installed. Run "npm install --save-dev typescript".']
        : []),
    ].map((note) => note.replaceAll(`${folder}/`, ''))
    const fresh = all.filter((note) => !noted.has(note))
    noted = new Set(all)
    return fresh
  }

  const types = createTypeCheck(folder, say)
  const watcher = watchFolders(() => loop.wake())
  watcher.follow([dirname(file), folder, rowsFolder, modelsFolder])
  const loop: PollLoop = startPollLoop(look, () => pollMs)
  return {
    first: loop.first,
    get catalog() {
      return catalog
    },
    async close() {
      watcher.close()
      await Promise.all([loop.stop(), loader.close()])
      await types.close()
    },
  }
}

interface Present {
  readonly loaded: LoadedDefinitions
  readonly isNew: boolean
  /** By `performance.now()`. */
  readonly started: number
}

function besideOf(files: readonly string[]): string {
  return JSON.stringify(foldersOf(files).map((each) => filesIn(each, ['.ts', '.mts', '.js', '.mjs', '.json'])))
}

function foldersOf(files: readonly string[]): string[] {
  return [...new Set(files.map((each) => dirname(each)))]
}
