import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_required')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

const remove = async (path: string) => {
  const response = await fetch(`${url}${path}`, { method: 'DELETE' })
  const body: unknown = await response.json()
  return { status: response.status, body }
}

describe('/v1/backfills', () => {
  it('begins one, shows how far it is, joins it and cancels it', async () => {
    const begun = await ask(url, '/v1/backfills', { view: 'airport_delays', chunks: 3 })
    expect(begun).toMatchObject({
      status: 202,
      body: { view: 'airport_delays@1', state: 'running', joined: false, chunksDone: 0, from: null, secondsLeft: null },
    })
    const { id } = begun.body as unknown as { readonly id: number }
    expect(await ask(url, '/v1/backfills', { view: 'airport_delays@1' })).toMatchObject({ status: 202, body: { id, joined: true } })
    expect(await ask(url, '/v1/backfills')).toMatchObject({ status: 200, body: { backfills: [{ id, state: 'running' }] } })
    expect(await remove(`/v1/backfills/${id}`)).toMatchObject({ status: 200, body: { id, state: 'cancelled' } })
    expect(await remove(`/v1/backfills/${id}`)).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } })
    expect(await ask(url, `/v1/backfills/${id}`)).toMatchObject({ status: 200, body: { id, state: 'cancelled' } })
  })

  it('refuses what is no backfill', async () => {
    const codes = []
    const halfOpen = await ask(url, '/v1/backfills', { view: 'airport_delays', from: '2001-01-01' })
    expect(halfOpen.body.error.message).toContain('"to" is missing')
    for (const body of [
      { view: 'nothing' },
      { view: 'airport_delays', from: '2001-01-01' },
      { view: 'airport_delays', from: '2001-01-02T00:00:00Z', to: '2001-01-01T00:00:00Z' },
      { view: 'airport_delays', chunks: 0 },
      { view: 'airport_offline' },
      { view: 'airport_delays', from: '2001-01-01T00:00:00Z', to: '2001-01-02T00:00:00Z' },
    ]) {
      const { status, body: answer } = await ask(url, '/v1/backfills', body)
      codes.push([status, (answer as { error: { code: string } }).error.code])
    }
    expect(codes).toEqual([
      [404, 'UNKNOWN_DEFINITION'],
      [400, 'INVALID_TIME'],
      [400, 'INVALID_REQUEST'],
      [400, 'INVALID_REQUEST'],
      [400, 'INVALID_REQUEST'],
      [400, 'INVALID_REQUEST'],
    ])
    expect((await ask(url, '/v1/backfills/x')).status).toBe(404)
    const put = await fetch(`${url}/v1/backfills`, { method: 'PUT' })
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST, OPTIONS'])
  })
})
