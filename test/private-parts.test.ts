import { readFileSync } from 'node:fs'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Command, Redis } from 'ioredis'
import { Client } from 'pg'
import { describe, expect, it } from 'vitest'

/**
 * Some files use what a library does not document, for speed. These tests name it, so that an upgrade that changes it
 * fails here first. The versions are pinned to the minor.
 */
const manifest: { dependencies: Record<string, string> } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

describe('undocumented parts of libraries', () => {
  it.each(['ioredis', 'pg'])('pin %s to its minor version', (name) => {
    expect(manifest.dependencies[name]).toMatch(/^~\d+\.\d+\.\d+$/)
  })

  it('are in ioredis what online/redis-mget-command.ts and online/redis-reader.ts use', () => {
    const command = new Command('mget', ['a'], { replyEncoding: null })
    expect(Object.keys(Object.getOwnPropertyDescriptors(Command.prototype)).toSorted()).toEqual([
      '_clearTimers',
      '_convertValue',
      '_iterateKeys',
      'constructor',
      'extractBlockingTimeout',
      'getKeys',
      'getSlot',
      'initPromise',
      'setBlockingTimeout',
      'setReplyContext',
      'setTimeout',
      'stringifyArguments',
      'toWritable',
      'transformReply',
    ])
    expect(Object.keys(command)).toEqual(expect.arrayContaining(['name', 'args', 'replyEncoding', 'promise', 'isResolved']))
    const redis = new Redis({ lazyConnect: true, commandTimeout: 5 })
    expect(typeof redis.sendCommand).toBe('function')
    expect(redis.options.commandTimeout).toBe(5)
    redis.disconnect()
  })

  it('include in pg what runtime/postgres/copy-out.ts uses: one data listener, of the parser', () => {
    const { connection } = new Client() as unknown as { connection: { stream: Socket; query: unknown; attachListeners: unknown } }
    expect(connection.stream).toBeInstanceOf(Socket)
    expect(typeof connection.query).toBe('function')
    expect(connection.stream.listenerCount('data')).toBeLessThanOrEqual(1)
  })

  it('are in node:http what protocols/http/request/incoming-request.ts overrides', () => {
    const message = new IncomingMessage(new Socket())
    for (const name of ['push', 'destroy', '_read', '_dump'] as const)
      expect(typeof (message as unknown as Record<string, unknown>)[name]).toBe('function')
    expect(message.readableEnded).toBe(false)
    expect(message.complete).toBe(false)
  })
})
