import { letterWithBody, readDeadLetter } from '../../materializer/streams/dead-letters.ts'
import { deadLetterAnswer } from '../../serving/protocols/http/streaming/dead-letters-route.ts'
import type { Command } from '../command.ts'
import { letterId } from '../dead-letters.ts'
import { bytes, moment } from '../text/human.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const deadLetterShowCommand: Command = {
  name: 'dead-letter show',
  summary: 'Show one dead letter and its error',
  arguments: [{ name: 'ID', help: 'The id, as "lockstep dead-letter list" shows it.' }],
  options: { server: serverOption },
  example: 'lockstep dead-letter show 17',
  async run(context, input) {
    const [number, server] = [letterId(input.argument('ID')), serverOf(context, input)]
    const { requestId: _, ...letter } =
      server === null
        ? { ...letterWithBody(await readDeadLetter(await context.database(), number)), requestId: '' }
        : await server.ask('GET', `/v1/dead-letters/${number}`, undefined, deadLetterAnswer)
    const { id, source, stream, message, at, reason, error, body, sizeBytes, keptBytes, cutOff, encoding } = letter
    const kept = cutOff ? `, of which the first ${bytes(keptBytes ?? 0)} are kept` : ''
    return {
      json: letter,
      text: [
        `Dead letter ${id} of ${source}: message ${message} of ${stream}, ${moment(new Date(at))} UTC`,
        `${reason}: ${error}`,
        '',
        ...(body === null
          ? ['The stream entry contained no message.']
          : [`${bytes(sizeBytes ?? keptBytes ?? 0)}${kept}${encoding === 'base64' ? ', in base64' : ''}:`, body]),
      ].join('\n'),
    }
  },
}
