import { revokeKey } from '../../registry/keys/api-keys.ts'
import { databaseNowMicros } from '../../runtime/postgres/database-clock.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { keyJson } from '../text/key-text.ts'

export const keysRevokeCommand: Command = {
  name: 'keys revoke',
  summary: 'Revoke an API key permanently',
  description: ['Servers refuse it within about a second. A server that has lost its database refuses it when the database is back.'],
  arguments: [{ name: 'ID', help: 'The id of the key, as "keys list" shows it.' }],
  options: { reason: reasonOption },
  example: 'lockstep keys revoke 7hQ2mZ0aLx9B',
  async run(context, input) {
    const db = await context.database()
    const key = await revokeKey(db, input.argument('ID'), actorOf(input))
    return { json: keyJson(key, (await databaseNowMicros(db)) / 1000), text: `The key "${key.id}" is revoked.` }
  },
}
