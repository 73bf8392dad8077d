import { migrateDatabase } from '../../runtime/migrated.ts'
import type { Command } from '../command.ts'
import { counted } from '../human.ts'

export const migrateCommand: Command = {
  name: 'migrate',
  summary: "Create Lockstep's own tables, or bring them up to date",
  description: ['Safe to run at any time and from several processes at once; what is there already is left alone.'],
  example: 'lockstep migrate',
  async run(context) {
    const db = await context.unmigratedDatabase()
    const migrations = await migrateDatabase(db.kysely)
    return {
      json: { migrations },
      text:
        migrations.length === 0
          ? 'The database is up to date.'
          : `Ran ${counted(migrations.length, 'migration')}: ${migrations.join(', ')}.`,
    }
  },
}
