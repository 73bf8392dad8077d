import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { createKey, listKeys, noteUsed, readKeys, revokeKey, rotateKey } from '../../../registry/keys/api-keys.ts'
import type { KeyRequest } from '../../../registry/keys/api-keys.ts'
import { keyHash, keyId, newKey } from '../../../registry/keys/key-text.ts'
import { createLogger } from '../../../runtime/log.ts'
import type { AuthMode } from '../../../serving/traffic/key-ring.ts'
import { createKeyRing, keyInHeaders } from '../../../serving/traffic/key-ring.ts'
import { isLoopback } from '../../../serving/traffic/loopback.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { during, openEmbedded, openServer } from '../../opened-database.ts'

const reader: KeyRequest = { name: 'reader', scopes: ['read'], requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
const day = 86_400_000

describe('the text of a key', () => {
  it('gives its id back, and is never the same twice', () => {
    const keys = Array.from({ length: 200 }, () => newKey())
    for (const { id, text, hash } of keys) {
      expect(keyId(text)).toBe(id)
      expect(keyHash(text)).toEqual(hash)
      expect(text).toMatch(/^lockstep_sk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}$/)
    }
    expect(new Set(keys.map(({ text }) => text)).size).toBe(200)
  })

  it('differs from any text with another character, and from invented ones', () => {
    const { text } = newKey()
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom('0', 'a', 'Z', '_', '-', 'é'), (at, other) => {
        fc.pre(text[at] !== other)
        expect(keyId(text.slice(0, at) + other + text.slice(at + 1))).toBeNull()
      }),
    )
    for (const other of ['', 'lockstep_sk_', text.slice(1), `${text}0`, 'Bearer', text.repeat(2)]) expect(keyId(other)).toBeNull()
  })
})

describe.each(Object.entries({ PostgreSQL: () => openServer(), PGlite: () => openEmbedded() }))('the keys in %s', (_, open) => {
  const opened = during<OpenedDatabase>(open)

  it('keep no key, list what there is, and are revoked once', async () => {
    const { db } = opened()
    expect((await readKeys(db)).configured).toBe(false)
    const made = await createKey(db, { ...reader, rowsPerSecond: 12.5, expiresAt: new Date('2030-01-01T00:00:00Z') })
    const [row] = await db.query(`select to_jsonb(k)::text as text from lockstep.api_keys k`)
    expect(String(row?.['text'])).not.toContain(made.text.slice(-38))
    expect(await listKeys(db)).toEqual([made.key])
    await noteUsed(db, new Map([[made.key.id, Date.UTC(2029, 0, 1)]]))
    await noteUsed(db, new Map([[made.key.id, Date.UTC(2028, 0, 1)]]))
    const revoked = await revokeKey(db, made.key.id)
    expect(revoked).toMatchObject({
      rowsPerSecond: 12.5,
      lastUsedAt: new Date('2029-01-01T00:00:00Z'),
      revokedAt: expect.any(Date) as Date,
    })
    expect((await revokeKey(db, made.key.id)).revokedAt).toEqual(revoked.revokedAt)
    expect(await readKeys(db)).toEqual({ keys: [], configured: true })
    await expect(revokeKey(db, 'nobody')).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  })

  it('rotate: the old one works only for the overlap, not past its expiry, and once', async () => {
    const { db } = opened()
    const before = Date.now()
    const made = await createKey(db, { ...reader, scopes: ['read', 'push'], expiresAt: new Date(before + 30 * day) })
    const { old, key, text } = await rotateKey(db, made.key.id, { overlapMs: 7 * day })
    expect(old).toMatchObject({ id: made.key.id, replacedBy: key.id })
    expect(Math.abs((old.expiresAt?.getTime() ?? 0) - before - 7 * day)).toBeLessThan(60_000)
    expect(key).toMatchObject({ name: 'reader', scopes: ['read', 'push'], replacedBy: null })
    expect(Math.abs((key.expiresAt?.getTime() ?? 0) - before - 30 * day)).toBeLessThan(60_000)
    expect(keyId(text)).toBe(key.id)
    await expect(rotateKey(db, made.key.id, { overlapMs: day })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    const second = await rotateKey(db, key.id, { overlapMs: 365 * day })
    expect(second.old.expiresAt).toEqual(key.expiresAt)
  })
})

describe('a ring of keys', () => {
  const opened = during<OpenedDatabase>(() => openServer())
  const ring = (mode: AuthMode, now?: () => number) => createKeyRing({ mode, log: createLogger('silent'), ...(now && { now }) })

  it('is unready until keys are read, and open only without keys or exposure', async () => {
    const { db } = opened()
    const keys = ring('auto')
    expect(() => keys.authorize(null, 'read')).toThrow(expect.objectContaining({ code: 'NOT_READY' }))
    await keys.refresh(db)
    expect(keys.authorize(null, 'admin')).toBeNull()
    keys.expose()
    expect(() => keys.authorize(null, 'read')).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
    const strict = ring('required')
    await strict.refresh(db)
    expect(() => strict.authorize(null, 'read')).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
    const off = ring('off')
    off.expose()
    expect(off.authorize(null, 'admin')).toBeNull()
  })

  it('says to migrate a database that is not migrated', async () => {
    const { db, close } = await openServer({ migrate: false })
    const logged: string[] = []
    await createKeyRing({ mode: 'auto', log: createLogger('warn', { write: (line) => void logged.push(line) }) }).refresh(db)
    expect(logged.join()).toContain(String.raw`run \"lockstep migrate\"`)
    await close()
  })

  it('needs a key once one exists, even after the last one is revoked', async () => {
    const { db } = opened()
    const keys = ring('auto')
    const made = await createKey(db, reader)
    await keys.refresh(db)
    expect(keys.authorize(made.text, 'read')).toMatchObject({ id: made.key.id })
    expect(() => keys.authorize(made.text, 'predict')).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN', message: expect.stringContaining('"predict"') as string }),
    )
    await revokeKey(db, made.key.id)
    await keys.refresh(db)
    expect(() => keys.authorize(made.text, 'read')).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
    expect(keys.required).toBe(true)
  })

  it('lets an admin do all, and refuses forged or expired keys without a read', async () => {
    const { db } = opened()
    let now = Date.now()
    const keys = ring('auto', () => now)
    const { text, key } = await createKey(db, { ...reader, scopes: ['admin'], expiresAt: new Date(now + day) })
    await keys.refresh(db)
    for (const scope of ['read', 'predict', 'push', 'admin'] as const) expect(keys.authorize(text, scope)?.id).toBe(key.id)
    // of the same id, with a secret and a check of its own
    const { text: forged } = newKey(key.id)
    expect(keyId(forged)).toBe(key.id)
    expect(() => keys.authorize(forged, 'read')).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
    // without a read meanwhile, as while the database is down
    now += day
    expect(() => keys.authorize(text, 'read')).toThrow(
      expect.objectContaining({ code: 'UNAUTHENTICATED', message: expect.stringContaining('expired at') as string }),
    )
  })

  it.each(['behind', 'ahead'])("expires keys by the database's clock where the server's is %s", async (how) => {
    const { db } = opened()
    const wrongMs = how === 'behind' ? -3 * day : 3 * day
    const keys = ring('auto', () => Date.now() + wrongMs)
    const [over, valid] = await Promise.all(
      [-1, 1].map((days) => createKey(db, { ...reader, expiresAt: new Date(Date.now() + days * day) })),
    )
    await keys.refresh(db)
    expect(() => keys.authorize(over?.text ?? '', 'read')).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
    expect(keys.authorize(valid?.text ?? '', 'read')?.id).toBe(valid?.key.id)
  })

  it("expires keys by the database's clock after the machine's was set", async () => {
    const { db } = opened()
    const start = Date.now()
    const keys = ring('auto')
    const { text, key } = await createKey(db, { ...reader, expiresAt: new Date(start + day) })
    await keys.refresh(db)
    try {
      vi.useFakeTimers({ toFake: ['Date'], now: start + 2 * day })
      expect(keys.authorize(text, 'read')?.id).toBe(key.id)
      // its use is still written down after the clock was set back
      vi.setSystemTime(start - 2 * day)
      await keys.refresh(db)
    } finally {
      vi.useRealTimers()
    }
    const used = (await listKeys(db)).find(({ id }) => id === key.id)?.lastUsedAt?.getTime() ?? 0
    expect(Math.abs(used - start)).toBeLessThan(day)
  })

  it('looks up a key that is newer than its last read, a few times a second', async () => {
    const { db } = opened()
    let now = Date.now()
    const keys = ring('auto', () => now)
    await createKey(db, reader)
    await keys.refresh(db)
    const { text, key } = await createKey(db, reader)
    expect(() => keys.authorize(text, 'read')).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
    await keys.lookUp(text)
    expect(keys.authorize(text, 'read')?.id).toBe(key.id)
    // of what is known, mistyped, or was looked up, there is nothing to look up
    const invented = newKey().text
    await keys.lookUp(invented)
    for (const other of [null, 'hello', text, newKey(key.id).text, invented]) expect(keys.lookUp(other)).toBeUndefined()
    const flood = Array.from({ length: 100 }, () => keys.lookUp(newKey().text)).filter((each) => each !== undefined)
    expect(flood).toHaveLength(18)
    now += 100
    expect(keys.lookUp(newKey().text)).toBeDefined()
    expect(keys.lookUp(newKey().text)).toBeUndefined()
    await Promise.all(flood)
  })

  it('reads restored keys again, also after a read of them that failed', async () => {
    const { db } = opened()
    const keys = ring('required')
    const { text, key } = await createKey(db, reader)
    await keys.refresh(db)
    // a backup has the same revision
    await db.query(`update lockstep.api_keys set revoked_at = now() where id = $1`, [key.id])
    await keys.refresh(db)
    expect(keys.authorize(text, 'read')?.id).toBe(key.id)
    keys.distrust()
    await db.query('alter table lockstep.api_keys rename to hidden_keys')
    await keys.refresh(db)
    expect(keys.authorize(text, 'read')?.id).toBe(key.id)
    await db.query('alter table lockstep.hidden_keys rename to api_keys')
    await keys.refresh(db)
    expect(() => keys.authorize(text, 'read')).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }))
  })

  it('writes down when keys were used, now and then', async () => {
    const { db } = opened()
    let now = Date.now()
    const keys = ring('auto', () => now)
    const { text, key } = await createKey(db, reader)
    await keys.refresh(db)
    keys.authorize(text, 'read')
    const usedAt = async () => (await listKeys(db)).find(({ id }) => id === key.id)?.lastUsedAt?.getTime()
    now += 60_000
    await keys.refresh(db)
    // by the database's clock, which has gone on meanwhile
    expect(await usedAt()).toBeGreaterThanOrEqual(now - 60_000)
    expect(await usedAt()).toBeLessThanOrEqual(Date.now())
  })

  it('costs microseconds', async () => {
    const { db } = opened()
    const keys = ring('auto')
    const { text } = await createKey(db, reader)
    await keys.refresh(db)
    // of the processor, the best of a few: the clock of a busy machine tells little
    let minMicros = Number.POSITIVE_INFINITY
    for (let round = 0; round < 5; round++) {
      const before = process.cpuUsage()
      for (let i = 0; i < 20_000; i++) keys.authorize(text, 'read')
      minMicros = Math.min(minMicros, process.cpuUsage(before).user / 20_000)
    }
    expect(minMicros).toBeLessThan(10)
  })
})

it('reads the key of a request from either header', () => {
  expect(keyInHeaders({ authorization: 'Bearer a' })).toBe('a')
  expect(keyInHeaders({ authorization: 'bearer  a ', 'x-api-key': 'b' })).toBe('a')
  expect(keyInHeaders({ authorization: 'Basic dTpw', 'x-api-key': 'b' })).toBe('b')
  expect(keyInHeaders({ authorization: 'Basic dTpw' })).toBeNull()
  expect(keyInHeaders({})).toBeNull()
})

it('recognizes an address that only this machine reaches', () => {
  for (const host of ['127.0.0.1', '127.8.9.1', 'localhost', '::1', '[::1]', '::ffff:127.0.0.1']) expect(isLoopback(host)).toBe(true)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'example.org', '127.example.org']) expect(isLoopback(host)).toBe(false)
})
