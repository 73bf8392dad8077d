import { cp, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'
import { migrate } from '../../migrations/migrate.ts'
import { openPglite } from '../../runtime/open-pglite.ts'

/**
 * Puts the files of a fresh embedded PostgreSQL into `folder`, for `openPglite`. Making them takes seconds of processor
 * time; a copy takes a twentieth of one.
 *
 * @param options.migrate whether Lockstep's own tables exist
 */
export async function copyEmbedded(folder: string, { migrate }: { readonly migrate: boolean }): Promise<void> {
  const copy = (template: string) => cp(template, folder, { recursive: true })
  const template = join(inject('folder'), migrate ? 'pglite-migrated' : 'pglite')
  await copy(template).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    await makeTemplate(template, migrate)
    await copy(template)
  })
}

/**
 * The first test file of the run that asks for a template makes it. If two ask at once, both make one, and the second
 * is thrown away.
 */
async function makeTemplate(template: string, migrated: boolean): Promise<void> {
  const own = await mkdtemp(`${template}-`)
  const files = join(own, 'files')
  if (migrated) await copyEmbedded(files, { migrate: false })
  const database = await openPglite(files)
  if (migrated) await migrate(database.kysely)
  await database.close()
  await rename(files, template).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
  })
  await rm(own, { recursive: true })
}
