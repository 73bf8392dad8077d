import { existsSync } from 'node:fs'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { manyThings, thingsService } from './things-set.ts'

// A separate process that writes a training set, and pauses with a part of it written until the file GO exists:
// `DATABASE_URL OUT GO`.
const [url = '', out = '', go = ''] = process.argv.slice(2)
const db = openPostgres(url)
const pause = new Int32Array(new SharedArrayBuffer(4))
await createDataset(db, thingsService, {
  spine: { sql: manyThings },
  out,
  onProgress({ step }) {
    if (step !== 'write') return
    process.send?.('standing')
    while (!existsSync(go)) Atomics.wait(pause, 0, 0, 10)
  },
})
await db.close()
process.disconnect?.()
