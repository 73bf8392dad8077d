import { describe, expect, it } from 'vitest'
import { openEmbedded, openServer } from '../opened-database.ts'

describe('locks', () => {
  it.each([
    ['PostgreSQL', openServer],
    ['PGlite', openEmbedded],
  ])('of %s can be tried for', async (_, open) => {
    const { db, close } = await open()
    const release = await db.tryLock(7, 1)
    expect(await db.tryLock(7, 1)).toBeNull()
    const other = await db.tryLock(7, 2)
    await release?.()
    const again = await db.tryLock(7, 1)
    expect([release, other, again]).not.toContain(null)
    await other?.()
    await again?.()
    await close()
  })
})
