import { cpSync, renameSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'
import { migrate } from '../../migrations/migrate.ts'
import { openPglite } from '../../runtime/embedded/open-pglite.ts'

/**
 * Puts the files of a migrated embedded PostgreSQL into `folder`, for `openPglite`: a copy is far faster than
 * migrating.
 */
export async function copyEmbedded(folder: string): Promise<void> {
  const template = join(inject('folder'), 'pglite-migrated')
  const copy = (): void => cpSync(template, folder, { recursive: true })
  try {
    copy()
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error
    await makeTemplate(template)
    copy()
  }
}

/**
 * The first test file of the run that asks for the template makes it. If two ask at once, both make one, and the second
 * is thrown away.
 */
async function makeTemplate(template: string): Promise<void> {
  const own = await mkdtemp(`${template}-`)
  const files = join(own, 'files')
  const database = await openPglite(files)
  await migrate(database.kysely)
  await database.close()
  try {
    renameSync(files, template)
  } catch (error) {
    if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST')) throw error
  }
  rmSync(own, { recursive: true })
}

function isSystemError(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
