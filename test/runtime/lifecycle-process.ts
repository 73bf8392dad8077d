// Opens resources, reports so, and waits for a signal. Its argument selects how one of them closes.
import { createLifecycle } from '../../runtime/lifecycle.ts'
import { createLogger } from '../../runtime/log.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)
const lifecycle = createLifecycle(createLogger('error'), { timeoutMs: process.argv[2] === 'hangs' ? 300 : 60_000 })
const keepAlive = setInterval(() => undefined, 1_000)
lifecycle.add('first', () => {
  clearInterval(keepAlive)
  say('first closed')
})
lifecycle.add('second', async () => {
  if (process.argv[2] === 'fails') throw new Error('no more')
  if (process.argv[2] === 'waits') say('waits')
  if (process.argv[2] === 'hangs' || process.argv[2] === 'waits') await new Promise(() => undefined)
  say('second closed')
})
lifecycle.closeOnSignals()
say('open')
