import { migrateDatabase } from '../../runtime/postgres/migrated.ts'
import { databaseName } from '../../runtime/postgres/open-database.ts'
import type { Command } from '../command.ts'
import { counted } from '../text/human.ts'

export const migrateCommand: Command = {
  name: 'migrate',
  summary: "Create Lockstep's own tables, or bring them up to date",
  description: ['Safe to run at any time, also from several processes at once. Existing tables are not changed again.'],
  example: 'lockstep migrate',
  async run(context) {
    const db = await context.unmigratedDatabase()
    const name = databaseName(context.config)
    const migrations = await migrateDatabase(db.kysely, { what: name, signal: context.signal })
    return {
      json: { migrations },
      text:
        migrations.length === 0
          ? `${name} is up to date.`
          : `${name} was brought up to date by ${counted(migrations.length, 'migration')}: ${namesText(migrations)}.`,
    }
  },
}

/** A new database needs all migrations: then their names say nothing. */
function namesText(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names[0]} to ${names.at(-1)}`
}
