import type { Command } from '../command.ts'
import { letterJson, lettersOf } from '../dead-letters.ts'
import { bytes, moment } from '../human.ts'

export const deadLetterShowCommand: Command = {
  name: 'dead-letter show',
  summary: 'Show one dead letter and its error',
  arguments: [{ name: 'ID', help: 'The id, as "lockstep dead-letter list" shows it.' }],
  example: 'lockstep dead-letter show 17',
  async run(context, input) {
    const [letter] = await lettersOf(await context.database(), [input.argument('ID')])
    if (letter === undefined) throw new Error('It was found.')
    const { id, source, stream, message, at, reason, error, body, sizeBytes } = letter
    const text = body === null ? null : textOf(body)
    const kept = body === null || body.length === sizeBytes ? '' : `, of which the first ${bytes(body.length)} are kept`
    return {
      json: {
        ...letterJson(letter),
        body: text ?? (body === null ? null : Buffer.from(body).toString('base64')),
        encoding: encodingOf(text, body),
      },
      text: [
        `Dead letter ${id} of ${source}: message ${message} of ${stream}, ${moment(at)} UTC`,
        `${reason}: ${error}`,
        '',
        body === null
          ? 'The stream entry contained no message.'
          : `${bytes(sizeBytes ?? body.length)}${kept}${text === null ? ', in base64' : ''}:`,
        ...(body === null ? [] : [text ?? Buffer.from(body).toString('base64')]),
      ].join('\n'),
    }
  },
}

/** Returns null where the body is not text. */
function textOf(body: Uint8Array): string | null {
  try {
    // a body that was cut off may end within a character
    return new TextDecoder('utf-8', { fatal: true }).decode(body, { stream: true })
  } catch {
    return null
  }
}

function encodingOf(text: string | null, body: Uint8Array | null): 'utf8' | 'base64' | null {
  if (body === null) return null
  return text === null ? 'base64' : 'utf8'
}
