import { listKeys } from '../../registry/keys/api-keys.ts'
import { databaseNowMicros } from '../../runtime/postgres/database-clock.ts'
import type { Command } from '../command.ts'
import { moment } from '../text/human.ts'
import { keyJson, keyState } from '../text/key-text.ts'
import { table } from '../text/table.ts'

export const keysListCommand: Command = {
  name: 'keys list',
  summary: 'List API keys, including expired and revoked ones',
  example: 'lockstep keys list',
  async run(context) {
    const db = await context.database()
    const [keys, nowMs] = [await listKeys(db), (await databaseNowMicros(db)) / 1000]
    const rows = keys.map((key) => [
      key.id,
      key.name,
      key.scopes.join(','),
      keyState(key, nowMs),
      moment(key.createdAt),
      key.expiresAt === null ? 'never' : moment(key.expiresAt),
      key.lastUsedAt === null ? 'never' : moment(key.lastUsedAt),
      key.requestsPerSecond === null ? '' : String(key.requestsPerSecond),
      key.rowsPerSecond === null ? '' : String(key.rowsPerSecond),
    ])
    const header = ['ID', 'NAME', 'SCOPES', 'STATE', 'CREATED (UTC)', 'EXPIRES', 'LAST USED', 'REQUESTS/S', 'ROWS/S']
    return {
      json: { keys: keys.map((key) => keyJson(key, nowMs)) },
      text: rows.length === 0 ? 'There is no API key. Create one with "lockstep keys create".' : table(header, rows),
    }
  },
}
