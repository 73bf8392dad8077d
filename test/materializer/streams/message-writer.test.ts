import { beforeEach, describe, expect, it, vi } from 'vitest'
import { createMessageWriter } from '../../../materializer/streams/message-writer.ts'
import { during, openServer } from '../../opened-database.ts'
import { createMeasures, measures, nothing } from '../events-source.ts'

describe('a writer of messages', () => {
  const opened = during(() => openServer())
  beforeEach(() => createMeasures(opened().db))

  it('asks for the time of the database once for all messages that lie in the future', async () => {
    const { db } = opened()
    const query = vi.spyOn(db, 'query')
    const write = createMessageWriter(
      { db, source: measures, spec: { kind: 'redis', stream: 's', field: 'f', group: 'g' }, clock: () => Date.now() * 1000 },
      { futureMicros: 600_000_000, messageLimitBytes: 1024 },
    )
    const messages = ['2200', '2200', '2001', '2200'].map((year, i) => ({
      id: String(i),
      body: Buffer.from(JSON.stringify({ id: i, place: 'here', at: `${year}-03-01T11:00:00Z`, ...nothing })),
      atMs: 0,
    }))
    const { appended, letters } = await write(messages)
    expect({ appended, reasons: letters.map(({ reason }) => reason) }).toEqual({ appended: 1, reasons: ['future', 'future', 'future'] })
    expect(query.mock.calls.filter(([text]) => text.includes('clock_timestamp'))).toHaveLength(1)
    query.mockRestore()
  })
})
