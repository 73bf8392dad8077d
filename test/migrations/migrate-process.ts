// Migrates a database on a line of standard input, and reports what it did.
import { migrate, pendingMigrations } from '../../migrations/migrate.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'

const db = openPostgres(process.argv[2] ?? '')
await pendingMigrations(db.kysely)
process.stdout.write('ready\n')
process.stdin.once('data', async () => {
  const ran = await migrate(db.kysely)
  const pending = await pendingMigrations(db.kysely)
  await db.close()
  process.stdin.unref()
  process.stdout.write(`${JSON.stringify({ ran, pending })}\n`)
})
