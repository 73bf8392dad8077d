import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mget } from '../../online/redis-mget-command.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { ownRedis } from '../services/own-redis.ts'

let server: OwnRedis
let redis: Redis
beforeAll(async () => {
  server = await ownRedis('redis-server')
  redis = new Redis(server.url, { maxRetriesPerRequest: 1 })
  redis.on('error', () => undefined)
  await redis.mset('a', Buffer.of(0, 255, 13, 10), 'b', '', 'é', 'of a long key')
})
afterAll(async () => {
  redis?.disconnect()
  await server?.stop()
})

describe('a read', () => {
  it('answers like the client, in order among other commands', async () => {
    const keys = ['b', 'nothing', 'a', 'é']
    const [before, read, after, again] = await Promise.all([redis.get('b'), mget(redis, keys), redis.get('é'), redis.mgetBuffer(keys)])
    expect(read).toEqual([Buffer.alloc(0), null, Buffer.of(0, 255, 13, 10), Buffer.from('of a long key')])
    expect([before, again, after]).toEqual(['', read, 'of a long key'])
  })

  it('fails with the error of the server', async () => {
    await expect(mget(redis, [])).rejects.toThrow('wrong number of arguments')
    expect(await mget(redis, ['b'])).toEqual([Buffer.alloc(0)])
  })

  it("fails after the client's timeout on a silent server, and the next gets its reply", async () => {
    const impatient = redis.duplicate()
    await mget(impatient, ['a'])
    process.kill(server.pid, 'SIGSTOP')
    // the others may take longer on a slow machine
    impatient.options.commandTimeout = 2000
    await expect(mget(impatient, ['a'])).rejects.toThrow('Command timed out')
    delete impatient.options.commandTimeout
    process.kill(server.pid, 'SIGCONT')
    expect(await mget(impatient, ['é'])).toEqual([Buffer.from('of a long key')])
    impatient.disconnect()
  })

  it('waits for a reconnect, and fails if there is no connection left', async () => {
    redis.disconnect(true)
    expect(await mget(redis, ['é'])).toEqual([Buffer.from('of a long key')])
    const closed = redis.duplicate()
    closed.disconnect()
    await expect(mget(closed, ['a'])).rejects.toThrow('Connection is closed')
  })

  it("leaves no garbage for a full collection, as the client's commands do not", async () => {
    const becomeOld = async (by: string) => {
      const script = join(import.meta.dirname, 'redis-read-process.ts')
      return Number((await promisify(execFile)(process.execPath, ['--expose-gc', script, server.url, by])).stdout)
    }
    expect(await becomeOld('mget')).toBeLessThan(100)
    // where this is no more, the client's own command will do
    expect(await becomeOld('client')).toBeGreaterThan(500)
  })
})
