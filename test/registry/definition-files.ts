import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { afterFile } from '../after-file.ts'

const entry = resolve(import.meta.dirname, '../../index.ts')

/** Writes files into a new folder, where 'lockstep' is this package. Removed when the test file ends. */
export function definitionFiles(files: Readonly<Record<string, string>>, inside = ''): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'lockstep-define-')))
  afterFile(() => rmSync(root, { recursive: true, force: true }))
  const folder = join(root, inside)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text.replaceAll("'lockstep'", JSON.stringify(entry)))
  }
  return folder
}

/** Loads `features.ts` among these files. */
export async function load(files: Readonly<Record<string, string>>, inside = ''): Promise<DefinitionSet> {
  return loadDefinitions(join(definitionFiles(files, inside), 'features.ts'))
}

/** A file with one view whose transform is given, and what stands above it. */
export function withTransform(transform: string, above = ''): string {
  return `import { entity, featureView, last, source, t } from 'lockstep'
${above}
const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', { key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64, at: t.timestamp, code: t.string } })
export const delays = featureView('delays', {
  version: 1, entity: airport, source: landings, derive: { x: t.float64 },
  transform: ${transform},
  features: { x: last('x') },
})
`
}

/** An entity and a source, for the top of a file. */
export const preamble = `import { count, entity, featureService, featureView, last, mean, model, onDemandView, source, t } from 'lockstep'
export const airport = entity('airport', { key: { airport: t.string } })
export const landings = source('landings', { table: 'flights', key: { airport: 'origin' }, eventTime: 'date', known: 'landed_at', columns: { delay: t.float64, distance: t.int32 } })
`
