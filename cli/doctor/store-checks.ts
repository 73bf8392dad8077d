import { redisError } from '../../online/redis-error.ts'
import { isAlmostFull } from '../../online/redis-memory.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Config } from '../../runtime/config.ts'
import { cannotSaveText } from '../../runtime/redis/cannot-save.ts'
import { parseRedisUrl } from '../../runtime/redis/redis-url.ts'
import type { RedisFacts } from '../../runtime/redis/redis-facts.ts'
import { readRedisFacts } from '../../runtime/redis/redis-facts.ts'
import { bytes } from '../text/human.ts'
import type { Answer } from './check.ts'
import { note, ok, wrong } from './check.ts'
import { skewAnswer } from './clock-skew.ts'

const oldest = { Redis: [7, 2], Valkey: [7, 2] } as const

export async function checkEmbeddedStore(store: OnlineStore, { directory }: Pick<Config, 'directory'>): Promise<Answer> {
  await store.identity()
  return ok(`The embedded online store in "${directory}" can be read and written.`)
}

export async function checkRedis(url: string): Promise<Answer[]> {
  const found = await readRedisFacts(url, redisError)
  return found.flatMap((facts) => answersOf(facts, parseRedisUrl(url)?.kind === 'cluster'))
}

function answersOf(facts: RedisFacts, asCluster: boolean): Answer[] {
  const { server, product, version, cluster, replica, maxmemoryPolicy, usedBytes, maxBytes, persistent, cannotSave, skewMs } = facts
  const what = `${product} ${version} at ${server}`
  const answers = [isOld(facts) ? wrong(`${what} is too old. Lockstep needs Redis 7.2 or Valkey 7.2.`) : ok(`${what} answers.`)]
  if (cluster && !asCluster) answers.push(wrong(`${server} is a node of a cluster. Write LOCKSTEP_REDIS_URL as redis+cluster://…`))
  if (replica && !asCluster)
    answers.push(wrong(`${server} is a replica, so no view is brought up to date. Set LOCKSTEP_REDIS_URL to the primary.`))
  if (maxmemoryPolicy === null) answers.push(note(`${server} does not report its maxmemory-policy; it must be noeviction.`))
  else if (maxmemoryPolicy !== 'noeviction') {
    const why = 'An evicted state looks like an entity that was never seen.'
    answers.push(wrong(`${server} has maxmemory-policy ${maxmemoryPolicy}. Set noeviction. ${why}`))
  } else answers.push(ok(`${server} has maxmemory-policy noeviction.`))
  if (isAlmostFull(facts)) {
    const then = maxmemoryPolicy === 'noeviction' ? 'When it is full, it refuses writes. ' : ''
    answers.push(
      wrong(
        `${server} uses ${bytes(usedBytes)} of its maxmemory of ${bytes(maxBytes)}. ${then}Raise maxmemory, or delete other data in it.`,
      ),
    )
  }
  if (cannotSave) answers.push(wrong(`${server} ${cannotSaveText}`))
  else if (persistent === null) answers.push(note(`${server} does not report whether it writes to disk.`))
  else if (persistent) answers.push(ok(`${server} writes to disk.`))
  else answers.push(note(`${server} writes nothing to disk: after a restart, workers fill it again from the history.`))
  return [...answers, skewAnswer(product, skewMs)]
}

function isOld({ product, version }: RedisFacts): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldMajor, oldMinor] = product === 'Valkey' ? oldest.Valkey : oldest.Redis
  return major < oldMajor || (major === oldMajor && minor < oldMinor)
}
