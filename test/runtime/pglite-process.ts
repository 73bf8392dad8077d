// Commits, reports so, and runs until it is killed.
import { openPglite } from '../../runtime/embedded/open-pglite.ts'

const db = await openPglite(process.argv[2] ?? '')
await db.script('create table kept (id int)')
await db.query('insert into kept select generate_series(1, 1000)')
process.stdout.write('committed\n')
setInterval(() => db.query('select 1').catch(() => undefined), 1)
