import { expect, it } from 'vitest'
import { messageEvent } from '../../../materializer/streams/message-event.ts'

it('a message in Avro is null in a column that it lacks, whatever the name of the column', () => {
  const event = messageEvent(Buffer.from('{"user":"a","note":"n"}'), 'kafka:clicks:0-1', { columns: ['user', 'constructor', 'amount'] })
  expect(event).toEqual({ user: 'a', constructor: null, amount: null, _event_id: 'kafka:clicks:0-1' })
})
