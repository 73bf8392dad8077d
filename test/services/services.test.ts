import { Redis } from 'ioredis'
import { Client } from 'pg'
import { expect, it } from 'vitest'
import { testDatabase, testRedis } from './index.ts'

async function query(url: string, sql: string): Promise<unknown[][]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows
  } finally {
    await client.end()
  }
}

it('gives each caller its own UTF-8 database, migrated unless it opts out', async () => {
  const [one, other] = await Promise.all([testDatabase(), testDatabase({ migrate: false })])
  expect(await query(one.url, `select count(*) > 0 from information_schema.tables where table_schema = 'lockstep'`)).toEqual([[true]])
  await query(one.url, 'create table only_here ()')
  expect(await query(one.url, `select to_regclass('only_here')::text, current_setting('server_encoding')`)).toEqual([['only_here', 'UTF8']])
  expect(await query(other.url, `select to_regnamespace('lockstep')::text`)).toEqual([[null]])
  expect(await query(other.url, `select to_regclass('only_here')::text`)).toEqual([[null]])
  await Promise.all([one.drop(), other.drop()])
})

it('gives a database whose collation does not sort text by bytes', async () => {
  const english = await testDatabase({ collation: 'en' })
  const letters = `select string_agg(x, '' order by x), string_agg(x, '' order by x collate "C") from unnest('{B,a,c}'::text[]) x`
  expect(await query(english.url, letters)).toEqual([['aBc', 'Bac']])
  await english.drop()
})

it('reports a connection that was left open', async () => {
  const database = await testDatabase({ migrate: false })
  const client = new Client({ connectionString: database.url })
  client.on('error', () => undefined)
  await client.connect()
  await expect(database.drop()).rejects.toThrow('1 connections to the test database were left open')
  await client.end()
})

it('gives a Redis that keeps bytes, under a separate prefix', async () => {
  const [one, other] = await Promise.all([testRedis(), testRedis()])
  expect(one.prefix).not.toBe(other.prefix)
  const redis = new Redis(one.url)
  await redis.set(`${one.prefix}key`, Buffer.from([0, 255]))
  expect(await redis.getBuffer(`${one.prefix}key`)).toEqual(Buffer.from([0, 255]))
  redis.disconnect()
})
