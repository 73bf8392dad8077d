import { openShop } from './virtual-shop.ts'

/**
 * For a test that kills it: a shop whose server answers requests until then. It tells what was answered by each minute.
 */
const [postgresUrl = '', redisUrl = '', prefix = ''] = process.argv.slice(2)
const shop = await openShop({ postgresUrl, redis: { url: redisUrl, prefix }, conditions: { requests: 40, evaluateEvery: 60 } })
for (;;) {
  const before = shop.answered()
  const minute = shop.now()
  await shop.pass(1)
  process.send?.({ minute, answered: shop.answered() - before })
}
