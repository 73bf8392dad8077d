import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { mget } from '../../online/redis-mget-command.ts'
import { openRedis } from '../../runtime/redis/redis.ts'

// Reads one after the other, with many young collections and no old ones, and prints how many bytes of each read were
// promoted meanwhile. `node --expose-gc redis-read-process.ts URL mget|client`
const [url = '', by] = process.argv.slice(2)
setFlagsFromString('--no-incremental-marking')
const { gc } = globalThis as unknown as { gc: (options: { type: 'major' | 'minor' }) => void }
const redis = openRedis(url)
const read = (): Promise<unknown> => (by === 'mget' ? mget(redis, ['a', 'b']) : redis.mgetBuffer('a', 'b'))
const oldBytes = (): number => getHeapSpaceStatistics().find((space) => space.space_name === 'old_space')?.space_used_size ?? 0

for (let i = 0; i < 2_000; i++) await read()
// a full collection while one is under way
const underWay = read()
gc({ type: 'major' })
await underWay
const before = oldBytes()
const reads = 4_000
for (let i = 0; i < reads; i++) {
  await read()
  if (i % 50 === 0) gc({ type: 'minor' })
}
process.stdout.write(`${Math.round((oldBytes() - before) / reads)}\n`)
redis.disconnect()
