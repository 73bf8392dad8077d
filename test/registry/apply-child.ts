// Applies one of the sample sets: node apply-child.ts URL VERSION. It waits for a line on its input, so that several
// processes begin at once.
import { once } from 'node:events'
import { LockstepError } from '../../kernel/errors.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { sampleSet } from './sample-set.ts'

const [url = '', number = ''] = process.argv.slice(2)
const version = Number(number)
const db = openPostgres(url)
await db.ping()
process.stdout.write('ready\n')
await once(process.stdin, 'data')
process.stdin.pause()
const set = sampleSet({ delays: { version }, context: { version }, service: { version } })
const result = await applyChanges(db, set).then(
  ({ changed, revision }) => ({ changed, revision }),
  (error: unknown) => ({ code: error instanceof LockstepError ? error.code : String(error) }),
)
await db.close()
process.stdout.write(`${JSON.stringify(result)}\n`)
