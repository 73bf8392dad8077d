import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Service, freePort, startServer } from './keeper.ts'
import { postgresWays } from './postgres.ts'
import { redisWays } from './redis.ts'
import { requireRedis } from './redis-server.ts'
import { forgetServicePolicy, withoutServiceStarts } from './service-policy.ts'
import { type Way, firstThatWorks } from './ways.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-ways-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the ways to a service', () => {
  const tried: string[] = []
  const way = (advice: string, outcome: string | Service[]): Way => ({
    advice,
    async start() {
      tried.push(advice)
      if (typeof outcome === 'string') throw new Error(outcome)
      return outcome
    },
  })
  beforeEach(() => void (tried.length = 0))

  it('are tried in their order, and the first that works is taken', async () => {
    const services = [{ url: 'redis://b', stop: async () => undefined }]
    expect(await firstThatWorks('Redis', [way('A', 'no'), way('B', services), way('C', services)], 1)).toBe(services)
    expect(tried).toEqual(['A', 'B'])
  })

  it('are all named, each with its reason, if none works', async () => {
    await expect(firstThatWorks('Redis', [way('Do A.', 'no a'), way('Do B.', 'no b')], 1)).rejects.toThrow(
      'The tests need Redis, and none was found. Any one of these ways will do:\n  - Do A.\n    (no a)\n  - Do B.\n    (no b)',
    )
  })

  it('are tried from configured services to installed ones', () => {
    const subjects = (ways: readonly Way[]): string[] =>
      ways.map(({ advice }) => /LOCKSTEP_TEST_\w+|Docker|npm|apt-get|PATH/.exec(advice)?.[0] ?? advice)
    expect(subjects(postgresWays)).toEqual(['LOCKSTEP_TEST_POSTGRES_URL', 'Docker', 'PATH', 'npm', 'apt-get'])
    expect(subjects(redisWays)).toEqual(['LOCKSTEP_TEST_REDIS_URL', 'Docker', 'PATH', 'apt-get'])
  })
})

it('accepts Redis from 7.2 on, or Valkey', () => {
  for (const version of ['7.2', '7.2.4', '7.10.0', '8.0.2', '10.0']) expect(() => requireRedis(version)).not.toThrow()
  for (const version of ['7.0.15', '6.9', 'of an unknown version']) expect(() => requireRedis(version)).toThrow('7.2 or newer is needed')
})

it("does not accept another server's answer for one that has ended", async () => {
  const start = startServer({
    name: 'brief',
    command: '/bin/sh',
    args: ['-c', 'echo the port is taken'],
    folder,
    signal: 'TERM',
    user: undefined,
    url: 'redis://127.0.0.1:1',
    answers: () => setTimeout(3_000),
  })
  await expect(start).rejects.toThrow('"brief" ended: the port is taken')
})

it('gives a free port once, and none of those that the system gives', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, freePort))
  expect(new Set(ports).size).toBe(ports.length)
  // Linux gives ports from 32,768 on; a Redis Cluster has its bus 10,000 above
  expect(Math.max(...ports) + 10_000).toBeLessThan(32_768)
})

describe('the policy that keeps installed services from starting', () => {
  const file = (): string => join(folder, 'policy-rc.d')
  const policyOf = async (pid: number): Promise<void> => {
    const text = await withoutServiceStarts(() => readFile(file(), 'utf8'), file())
    await writeFile(file(), text.replace(String(process.pid), String(pid)))
  }
  const deadPid = (): number => spawnSync('true').pid

  it('is there for as long as something is installed, well or not', async () => {
    const status = await withoutServiceStarts(async () => spawnSync(file()).status, file())
    expect(status).toBe(101)
    await expect(withoutServiceStarts(() => Promise.reject(new Error('no network')), file())).rejects.toThrow('no network')
    expect(await readdir(folder)).toEqual([])
  })

  it('is removed by the next run if a run was killed', async () => {
    await policyOf(deadPid())
    await forgetServicePolicy(file())
    expect(await readdir(folder)).toEqual([])
    await policyOf(deadPid())
    await withoutServiceStarts(async () => undefined, file())
    expect(await readdir(folder)).toEqual([])
  })

  it('is awaited if another run creates it', async () => {
    await policyOf(process.ppid)
    await forgetServicePolicy(file())
    await expect(withoutServiceStarts(async () => undefined, file(), 150)).rejects.toThrow('another run of the tests is installing')
    const waiting = withoutServiceStarts(async () => 'installed', file())
    await rm(file())
    expect(await waiting).toBe('installed')
  })

  it("is not touched if it is not the tests' own", async () => {
    await writeFile(file(), '#!/bin/sh\nexit 101\n')
    await forgetServicePolicy(file())
    expect(await withoutServiceStarts(async () => 'installed', file())).toBe('installed')
    expect(await readFile(file(), 'utf8')).toBe('#!/bin/sh\nexit 101\n')
  })
})
