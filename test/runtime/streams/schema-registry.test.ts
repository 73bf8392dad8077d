import { afterAll, beforeAll, expect, it } from 'vitest'
import { createAvroDecoder } from '../../../runtime/streams/avro-consumer.ts'
import { openSchemaRegistry } from '../../../runtime/streams/schema-registry.ts'
import type { TestRegistry } from '../../services/schema-registry.ts'
import { testSchemaRegistry } from '../../services/schema-registry.ts'

const [user, token] = ['Basic YWJjOnMzY3JldCU=', 'Bearer t0ken']
const registries: TestRegistry[] = []

beforeAll(async () => {
  registries.push(await testSchemaRegistry(user), await testSchemaRegistry(token))
})
afterAll(() => Promise.all(registries.map((registry) => registry.stop())))

it('reads a schema once, with those that it refers to, as the user in its URL or with a token', async () => {
  for (const [i, registry] of registries.entries()) {
    await registry.register('gate', { type: 'fixed', name: 'Gate', size: 2 })
    const references = [{ name: 'Gate', subject: 'gate', version: 1 }]
    const id = await registry.register('landing', { type: 'record', name: 'Landing', fields: [{ name: 'gate', type: 'Gate' }] }, references)
    const url = i === 0 ? registry.url.replace('//', '//abc:s3cret%25@') : registry.url
    const opened = openSchemaRegistry(url, i === 0 ? null : 't0ken')
    const [found, again] = await Promise.all([opened.schema(id), opened.schema(id)])
    expect(again).toBe(found)
    expect(found?.references).toEqual(['{"type":"fixed","name":"Gate","size":2}'])
    expect(registry.asked()).toBe(1)
    expect(await opened.schema(99)).toBe(null)
  }
})

it('reads schemas that refer to one another once each', async () => {
  const [, registry] = registries
  const reference = (subject: string) => [{ name: subject, subject, version: 1 }]
  await registry?.register('b', { type: 'fixed', name: 'B', size: 2 }, reference('c'))
  await registry?.register('c', { type: 'fixed', name: 'C', size: 2 }, reference('b'))
  const id = (await registry?.register('a', { type: 'fixed', name: 'A', size: 2 }, reference('b'))) ?? 0
  const found = await openSchemaRegistry(registry?.url ?? '', 't0ken').schema(id)
  expect(found?.references.map((text) => (JSON.parse(text) as { name: string }).name)).toEqual(['C', 'B'])
})

it('is not asked about a message over the limit', async () => {
  const decode = createAvroDecoder(openSchemaRegistry(registries[1]?.url ?? '', 't0ken'), 8)
  await expect(decode(Buffer.alloc(9))).rejects.toMatchObject({
    details: { reason: 'not_avro' },
    message: 'The message has 9 bytes, over the limit of 8; raise LOCKSTEP_BODY_LIMIT_BYTES.',
  })
})

it('names the registry that refuses or does not answer, and no secret', async () => {
  const [registry] = registries
  const message = async (url: string): Promise<string> =>
    await openSchemaRegistry(url, null)
      .schema(1)
      .then(String, (error: Error) => error.message)
  const host = new URL(registry?.url ?? '').host
  const refused = await message(`http://abc:wr0ng@${host}`)
  expect(refused).toContain(`The schema registry at "${host}" cannot be read: it refuses the user or the token (401)`)
  expect(refused).not.toContain('wr0ng')
  const gone = await testSchemaRegistry()
  await gone.stop()
  const away = await message(gone.url.replace('//', '//abc:s3cret@'))
  expect(away).toMatch(/The schema registry at "127\.0\.0\.1:\d+" cannot be read: .*ECONNREFUSED.*LOCKSTEP_SCHEMA_REGISTRY_URL/)
  expect(away).not.toContain('s3cret')
  const opened = openSchemaRegistry(`http://abc:s3cret%25@${host}`, null)
  const id = (await registry?.register('json', {})) ?? 0
  expect(await opened.schema(id)).toMatchObject({ schema: '{}' })
})

it('registers a schema, or finds it where it may not, and says why the registry does not take it', async () => {
  const registry = await testSchemaRegistry()
  registries.push(registry)
  const opened = openSchemaRegistry(registry.url, null)
  const schema = { type: 'fixed', name: 'Gate', size: 2 }
  const id = await opened.register('gates-value', schema)
  expect(await opened.register('gates-value', schema)).toBe(id)
  expect(await opened.schema(id)).toMatchObject({ schema: JSON.stringify(schema) })
  registry.refuse(403, 'not allowed')
  expect(await opened.register('gates-value', schema)).toBe(id)
  const other = { ...schema, size: 3 }
  const refused = (reason: string) => ({ code: 'CONFIG_INVALID', message: expect.stringContaining(reason) as string })
  await expect(opened.register('gates-value', other)).rejects.toMatchObject(
    refused(`may not register it. Register it: ${JSON.stringify(other)}`),
  )
  registry.refuse(409, 'the size differs.')
  await expect(opened.register('gates-value', other)).rejects.toMatchObject(refused('the size differs. Correct the compatibility'))
})
