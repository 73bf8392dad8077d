import { readdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { manyThings } from './many-things.ts'

// A separate process that writes one training set: `DATABASE_URL OUT`. It reports when it begins, and prints the
// outcome and the content of the folder.
const [url = '', out = ''] = process.argv.slice(2)
const db = openPostgres(url)
process.send?.('begins')
const made = await createDataset(db, manyThings.service, { spine: { sql: manyThings.spine }, out, overwrite: true }).then(
  ({ id }) => ({ id }),
  (error: unknown) => {
    if (error instanceof LockstepError) return { code: error.code, message: error.message }
    throw error
  },
)
process.stdout.write(JSON.stringify({ ...made, left: await readdir(dirname(out)) }))
await db.close()
process.disconnect?.()
