import { realpathSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import type { OnDemandSpec } from '../../kernel/specs/service-spec.ts'
import type { ViewSpec } from '../../kernel/specs/view-spec.ts'
import { bundleTransform } from '../bundle/bundle-transform.ts'
import type { ParsedModule } from '../bundle/module-graph.ts'
import type { StaticDefinition } from '../bundle/module-definitions.ts'
import { ModuleCache } from '../bundle/module-graph.ts'
import { findTransform, ownModules } from '../bundle/transform-places.ts'
import type { Trial } from '../bundle/try-transform.ts'
import { tryTransform } from '../bundle/try-transform.ts'
import type { Collected } from './collect.ts'
import { collectDefinitions } from './collect.ts'
import type { KindList } from '../definition.ts'
import { kindLists } from '../definition.ts'
import type { AnyFeatureView } from '../define/feature-view.ts'
import type { Outcome } from '../define/outcome.ts'
import type { OnDemandView } from '../define/on-demand-view.ts'
import { declareDefinitions } from './declare-definitions.ts'
import type { DefinitionSet, Described, ViewOperational } from './definition-set.ts'
import { importWithin } from '../../runtime/import-within.ts'
import { sha256 } from '../sha256.ts'

const loadTimeoutMs = 20_000

/**
 * Loads a definitions file: imports it, collects its exported definitions and those that they refer to, bundles and
 * tries their transforms, and computes the fingerprints. A process imports a file only once.
 *
 * @param options.timeoutMs how long importing the file may take; default 20 s
 * @throws LockstepError `DEFINITIONS_INVALID`, with file and line, if the file is missing, does not parse, throws or
 *   does not finish; `DEFINITIONS_EMPTY`, `DUPLICATE_NAME`, `TRANSFORM_NOT_STATIC`, `TRANSFORM_IMPURE`,
 *   `TRANSFORM_FAILED`; and errors of invalid definitions, with file and line added
 */
export async function loadDefinitions(file: string, { timeoutMs = loadTimeoutMs } = {}): Promise<DefinitionSet> {
  const asked = resolve(file)
  const found = statSync(asked, { throwIfNoEntry: false })
  if (found?.isFile() !== true) {
    const problem = found?.isDirectory() === true ? `"${asked}" is a folder` : `There is no definitions file "${asked}"`
    throw new LockstepError('DEFINITIONS_INVALID', `${problem}; give the path of a definitions file.`, { details: { file: asked } })
  }
  const path = realpathSync(asked)
  const cache = new ModuleCache()
  const modules = ownModules(path, cache)
  const collected = collectDefinitions(await exportsOf(path, modules, timeoutMs))
  if (Object.values(collected).every((list) => list.length === 0)) {
    throw new LockstepError(
      'DEFINITIONS_EMPTY',
      `The file "${path}" exports no definitions; export them, as in export const airport = entity('airport', …).`,
    )
  }
  const code = new Map<string, string>()
  const hashes = new Map<TransformOwner['definition'], string>()
  for await (const [{ definition, trial }, { text, what }] of bundles(transformOwners(collected), modules, cache)) {
    tryTransform(trial(text, what))
    const hash = sha256(text)
    code.set(hash, text)
    hashes.set(definition, hash)
  }
  const views = collected.views.map((view): ViewSpec => ({ ...view.spec, code: hashes.get(view) ?? null }))
  const onDemand = collected.onDemand.map((view): OnDemandSpec => ({ ...view.spec, code: hashes.get(view) ?? '' }))
  const outcomes = collected.outcomes.map((each): OutcomeSpec => ({ ...each.spec, code: hashes.get(each) ?? null }))
  const unexported = unexportedIn(cache.get(path).definitions, collected)
  return { ...definitionSet(path, collected, { views, onDemand, outcomes }, code), ...(unexported.length === 0 ? {} : { unexported }) }
}

/** A definition with a transform. */
interface TransformOwner {
  readonly call: string
  readonly definition: AnyFeatureView | OnDemandView | Outcome
  trial(text: string, what: string): Trial
}

function transformOwners({ views, onDemand, outcomes }: Collected): TransformOwner[] {
  return [
    ...views
      .filter(({ transform }) => transform !== null)
      .map((view): TransformOwner => ({ call: 'featureView', definition: view, trial: (text, what) => viewTrial(view, text, what) })),
    ...onDemand.map((view): TransformOwner => ({
      call: 'onDemandView',
      definition: view,
      trial: (text, what) => onDemandTrial(view, text, what),
    })),
    ...outcomes
      .filter(({ transform }) => transform !== null)
      .map((each): TransformOwner => ({ call: 'outcome', definition: each, trial: (text, what) => outcomeTrial(each, text, what) })),
  ]
}

/** How many transforms are bundled while one is tried: the bundler is a process of its own. */
const bundledAhead = 4

/** Bundles transforms, in their order. */
async function* bundles(
  owners: readonly TransformOwner[],
  modules: readonly ParsedModule[],
  cache: ModuleCache,
): AsyncGenerator<[TransformOwner, { readonly text: string; readonly what: string }]> {
  const bundle = async ({ call, definition }: TransformOwner) => {
    const place = await findTransform(modules, call, definition)
    return { text: await bundleTransform(place, cache), what: place.what }
  }
  const begun: ReturnType<typeof bundle>[] = []
  for (const [i, owner] of owners.entries()) {
    for (const next of owners.slice(begun.length, i + 1 + bundledAhead)) {
      const promise = bundle(next)
      // an earlier transform may be refused first
      promise.catch(() => undefined)
      begun.push(promise)
    }
    yield [owner, await (begun[i] ?? bundle(owner))]
  }
}

/** The lists by the name of the function that defines. */
const listOfCall: Readonly<Record<string, KindList>> = {
  ...kindLists,
  featureView: kindLists.view,
  onDemandView: kindLists.onDemand,
  featureService: kindLists.service,
}

/** Without this check, a forgotten `export` would silently omit a definition. */
function unexportedIn(definitions: readonly StaticDefinition[], collected: Collected): string[] {
  return definitions.flatMap(({ call, name, version, exported }) => {
    const list = listOfCall[call]
    if (exported || name === null || list === undefined) return []
    const isThere = collected[list].some(
      (each) => each.name === name && (!('version' in each) || version === null || each.version === version),
    )
    return isThere ? [] : [`${call} "${version === null ? name : `${name}@${version}`}"`]
  })
}

function definitionSet(
  file: string,
  collected: Collected,
  {
    views,
    onDemand,
    outcomes,
  }: { readonly views: readonly ViewSpec[]; readonly onDemand: readonly OnDemandSpec[]; readonly outcomes: readonly OutcomeSpec[] },
  code: ReadonlyMap<string, string>,
): DefinitionSet {
  const definitions = {
    entities: collected.entities.map(described),
    sources: collected.sources.map((d) => ({
      spec: d.spec,
      operational: {
        ...(d.stream === null ? {} : { stream: d.stream }),
        ...(d.files === null ? {} : { files: d.files }),
        ...(d.cursor === null ? {} : { cursor: d.cursor }),
        ...(d.push ? { push: true as const } : {}),
        ...d.described,
      },
    })),
    views: collected.views.map((d, i) => ({ spec: views[i] as ViewSpec, operational: operationalOf(d) })),
    onDemand: collected.onDemand.map((d, i) => ({ spec: onDemand[i] as OnDemandSpec, operational: d.described })),
    services: collected.services.map(described),
    models: collected.models.map((d) => ({ spec: d.spec, operational: { ...d.operational, ...d.described } })),
    outcomes: collected.outcomes.map((d, i) => ({ spec: outcomes[i] as OutcomeSpec, operational: { ...d.operational, ...d.described } })),
    channels: collected.channels.map(described),
    monitors: collected.monitors.map(described),
    experiments: collected.experiments.map((d) => ({ spec: d.spec, operational: { ...d.operational, ...d.described } })),
    batches: collected.batches.map(described),
    pipelines: collected.pipelines.map(described),
    trainings: collected.trainings.map(described),
  }
  return declareDefinitions(file, definitions, code)
}

function described<Spec>({ spec, described: operational }: { readonly spec: Spec; readonly described: Described }) {
  return { spec, operational }
}

function operationalOf({ online, maxStateBytes, freshnessMicros, monitors, described }: AnyFeatureView): ViewOperational {
  return {
    online,
    ...(maxStateBytes === null ? {} : { maxStateBytes }),
    ...(freshnessMicros === null ? {} : { freshnessMicros }),
    ...(monitors === null ? {} : { monitors }),
    ...described,
  }
}

function viewTrial(view: AnyFeatureView, code: string, what: string): Trial {
  const columns = view.spec.source.columns.map((c) => ({ ...c, nullable: true }))
  return { what, code, groups: [{ name: null, columns }], asOf: false, output: view.spec.derive, dropsRows: true }
}

/** The value of an outcome is a single value; a trial expects named ones. */
function outcomeTrial({ source, type }: Outcome, code: string, what: string): Trial {
  const columns = source.spec.columns.map((c) => ({ ...c, nullable: true }))
  const named = `((value) => (row) => ({ value: value(row) }))(${code})`
  return { what, code: named, groups: [{ name: null, columns }], asOf: false, output: [{ name: 'value', type }], dropsRows: false }
}

function onDemandTrial(view: OnDemandView, code: string, what: string): Trial {
  const inputs = view.spec.inputs.map((input, i) => {
    const features = view.inputs[i]?.features ?? {}
    return { name: input.name, columns: Object.entries(features).map(([name, { type, nullable }]) => ({ name, type, nullable })) }
  })
  const request = { name: 'request', columns: view.spec.request.map((c) => ({ ...c, nullable: false })) }
  return { what, code, groups: [request, ...inputs], asOf: true, output: view.spec.features, dropsRows: false }
}

async function exportsOf(path: string, modules: readonly ParsedModule[], timeoutMs: number): Promise<unknown[]> {
  try {
    const namespace: unknown = await importWithin(path, timeoutMs)
    return Object.values(namespace as Readonly<Record<string, unknown>>)
  } catch (cause) {
    const place = featurePlace(cause, placeOf(cause, modules), modules)
    const where = place === null ? path : `${place.file}:${place.line}`
    const details = { file: place?.file ?? path, ...(place === null ? {} : { line: place.line }) }
    // Another copy of this package throws its own class of the same name, so `instanceof` does not work.
    if (cause instanceof Error && cause.name === 'LockstepError' && 'code' in cause) {
      throw new LockstepError(cause.code as LockstepError['code'], `${cause.message} (${where})`, { cause, details })
    }
    throw new LockstepError('DEFINITIONS_INVALID', `The definitions file could not be run: ${messageOf(cause)} (${where}).`, {
      cause,
      details,
    })
  }
}

/**
 * The line of the feature that an error names, below the line of its view; `place` if the error names no feature.
 */
function featurePlace(error: unknown, place: Place | null, modules: readonly ParsedModule[]): Place | null {
  const details = error instanceof Error && 'details' in error ? (error.details as { readonly feature?: unknown }) : {}
  if (place === null || typeof details.feature !== 'string') return place
  const lines = modules.find(({ file }) => file === place.file)?.text.split('\n') ?? []
  const member = new RegExp(`(?<![\\w$])['"]?${details.feature}['"]?\\s*:`)
  const at = lines.findIndex((line, i) => i >= place.line - 1 && member.test(line))
  return at < 0 ? place : { file: place.file, line: at + 1 }
}

interface Place {
  readonly file: string
  readonly line: number
}

/** The place in the user's files where an error was thrown, from its stack. */
function placeOf(error: unknown, modules: readonly ParsedModule[]): Place | null {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  const files = new Map(
    modules.flatMap(({ file }) => [
      [file, file],
      [pathToFileURL(file).pathname, file],
    ]),
  )
  for (const [, path, line] of stack.matchAll(/(?:file:\/\/)?(\/[^\n()]+?):(\d+)(?::\d+)?(?=[)\n]|$)/g)) {
    const file = files.get((path ?? '').replace(/\?.*$/, ''))
    if (file !== undefined) return { file, line: Number(line) }
  }
  return null
}
