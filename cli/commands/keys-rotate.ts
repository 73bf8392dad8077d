import { rotateKey } from '../../registry/keys/api-keys.ts'
import { databaseNowMicros } from '../../runtime/postgres/database-clock.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { durationOption } from '../duration-option.ts'
import { moment } from '../text/human.ts'
import { keyJson, madeKeyText } from '../text/key-text.ts'

const defaultOverlap = '7d'

export const keysRotateCommand: Command = {
  name: 'keys rotate',
  summary: 'Replace an API key; the old one keeps working for a while',
  description: ['The new key has the name, scopes, limits and validity period of the old one. Prints it once.'],
  arguments: [{ name: 'ID', help: 'The id of the old key, as "keys list" shows it.' }],
  options: {
    overlap: { value: 'DURATION', help: `How long the old key keeps working. Default: ${defaultOverlap}.` },
    reason: reasonOption,
  },
  example: 'lockstep keys rotate 7hQ2mZ0aLx9B --overlap 1d',
  async run(context, input) {
    const overlapMs = durationOption('keys rotate', 'overlap', input.text('overlap') ?? defaultOverlap) / 1000
    const db = await context.database()
    const { old, ...made } = await rotateKey(db, input.argument('ID'), { overlapMs }, actorOf(input))
    const nowMs = (await databaseNowMicros(db)) / 1000
    return {
      json: { key: made.text, ...keyJson(made.key, nowMs), old: keyJson(old, nowMs) },
      text: `${madeKeyText(made)}\nIt replaces the key "${old.id}", which works until ${moment(old.expiresAt ?? new Date())} UTC.`,
    }
  },
}
