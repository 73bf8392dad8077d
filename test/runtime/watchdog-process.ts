// Runs under the watchdog and then blocks: "stands" in one go, "turns" in pieces. On a signal it ends with 0, if it
// gets to handle it.
import { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { startWatchdog } from '../../runtime/watchdog.ts'

const endAt = performance.now() + (process.argv[2] === 'stands' ? 60_000 : 5000)
process.on('SIGTERM', () => process.exit(0))
startWatchdog(loadConfig(), createLogger('info'))
let began = false
const work = (): void => {
  // from here on a signal finds the loop busy: a pipe is written to at once
  if (!began) process.stdout.write('busy\n')
  began = true
  const until = process.argv[2] === 'stands' ? endAt : performance.now() + 300
  while (performance.now() < until);
  if (performance.now() < endAt) setTimeout(work)
}
setTimeout(work)
