import { readdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import { createDataset } from '../../offline/dataset.ts'
import { openPostgres } from '../../runtime/open-postgres.ts'
import { manyThings } from './many-things.ts'

// A process of its own that writes one training set: `DATABASE_URL OUT`. It says when it begins, and prints what came
// of it and what is in the folder then.
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
