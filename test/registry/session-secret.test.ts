import { expect, it } from 'vitest'
import { createSecretCheck, newSessionSecret } from '../../registry/keys/session-secret.ts'
import type { OpenedDatabase } from '../opened-database.ts'
import { during, openServer } from '../opened-database.ts'

const opened = during<OpenedDatabase>(() => openServer())

it('all requests of a page know a session of a database that was replaced', async () => {
  const { db } = opened()
  let now = 0
  const secrets = createSecretCheck(() => now)
  const former = await newSessionSecret(db)
  expect(await secrets.isIssued(db, former)).toBe(true)
  await db.query(`update lockstep.installation set salt = decode(repeat('ab', 32), 'hex')`)
  const present = await newSessionSecret(db)
  const both = () => Promise.all([present, present].map((secret) => secrets.isIssued(db, secret)))
  now = 9_999
  expect(await both()).toEqual([false, false])
  now = 10_000
  expect(await both()).toEqual([true, true])
  expect(await secrets.isIssued(db, former)).toBe(false)
})

it('a read that failed is done again at once', async () => {
  const { db } = opened()
  const secrets = createSecretCheck(() => 0)
  const secret = await newSessionSecret(db)
  await db.query('alter table lockstep.installation rename to hidden_installation')
  await expect(secrets.isIssued(db, secret)).rejects.toThrow('installation')
  await db.query('alter table lockstep.hidden_installation rename to installation')
  expect(await secrets.isIssued(db, secret)).toBe(true)
})
