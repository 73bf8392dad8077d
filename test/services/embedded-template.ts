import { cpSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { migrate } from '../../migrations/migrate.ts'
import { openPglite } from '../../runtime/embedded/open-pglite.ts'
import { keptFolder } from '../kept-folder.ts'
import { rootFolder } from '../source-files.ts'
import { templateSources } from './template.ts'

let template: Promise<string> | undefined

/**
 * Puts the files of a migrated embedded PostgreSQL into `folder`, for `openPglite`: a copy is far faster than
 * migrating. It is kept for many runs.
 */
export async function copyEmbedded(folder: string): Promise<void> {
  template ??= keptFolder(join(rootFolder, 'node_modules/.cache/lockstep/pglite'), embeddedSources(), makeTemplate)
  cpSync(join(await template, 'files'), folder, { recursive: true })
}

function embeddedSources(): string[] {
  return ['test/services/embedded-template.ts', ...globSync('runtime/embedded/*.ts', { cwd: rootFolder }), ...templateSources()]
}

async function makeTemplate(folder: string): Promise<void> {
  const database = await openPglite(join(folder, 'files'))
  await migrate(database.kysely)
  await database.close()
}
