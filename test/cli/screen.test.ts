import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { batchText } from '../../cli/text/batch-text.ts'
import { bytes, count, counted, duration } from '../../cli/text/human.ts'
import { createProgress } from '../../cli/progress.ts'
import { jsonText, reportError } from '../../cli/report-error.ts'
import { table } from '../../cli/text/table.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { jobProgress } from '../../cli/watch-job.ts'
import { LockstepError } from '../../kernel/errors.ts'

/** The output of progress, with a clock that the test sets. */
function progressOn(target: { isTTY: boolean; columns?: number }) {
  const written: string[] = []
  let now = 1_000_000
  const progress = createProgress(
    { ...target, write: (text) => written.push(text) },
    { label: 'Ingesting flights', unit: 'rows', now: () => now },
  )
  return {
    written,
    end: () => progress.end(),
    at(ms: number, done: number, total: number | null): void {
      now = 1_000_000 + ms
      progress.update(done, total)
    },
  }
}

describe('progress', () => {
  it('redraws one line on a terminal, within its width, and clears it', () => {
    const { written, at, end } = progressOn({ isTTY: true, columns: 60 })
    for (let ms = 0; ms <= 1000; ms += 10) at(ms, ms * 10, 20_000)
    end()
    expect(written.length).toBeLessThan(14)
    for (const text of written) {
      expect([text.startsWith('\r'), text.endsWith('\u001B[K'), text.includes('\n')]).toEqual([true, true, false])
      expect(text.length).toBeLessThanOrEqual(60 + 4)
    }
    expect(written.at(0)).toContain('Ingesting flights ...')
    expect(written.at(-2)).toContain('50 %')
    expect(written.at(-1)).toBe('\r\u001B[K')
  })

  it('fills 80 characters of a terminal that has no size', () => {
    const { written, at } = progressOn({ isTTY: true, columns: 0 })
    for (let ms = 0; ms <= 1000; ms += 500) at(ms, ms * 10, 20_000)
    expect(written.at(-1)).toBe('\rIngesting flights [==========>         ] 50 %, 10,000 of 20,000 rows, 10,000 ro\u001B[K')
  })

  it('writes a plain line now and then elsewhere', () => {
    const { written, at, end } = progressOn({ isTTY: false })
    for (let ms = 0; ms <= 12_000; ms += 10) at(ms, ms * 100, 2_000_000)
    end()
    expect(written).toEqual([
      'Ingesting flights [=>                  ] 5 %, 100,000 of 2,000,000 rows, 100,000 rows/s, 19.0 s left\n',
      'Ingesting flights [======>             ] 30 %, 600,000 of 2,000,000 rows, 100,000 rows/s, 14.0 s left\n',
      'Ingesting flights [===========>        ] 55 %, 1,100,000 of 2,000,000 rows, 100,000 rows/s, 9.0 s left\n',
    ])
  })

  it('writes no line again elsewhere while nothing changes', () => {
    const { written, at } = progressOn({ isTTY: false })
    for (let ms = 0; ms <= 30_000; ms += 1000) at(ms, ms < 20_000 ? 0 : 1, 4)
    expect(written.map((line) => line.match(/\d of 4/)?.[0])).toEqual(['0 of 4', '1 of 4'])
    // less than one a second is no rate
    expect(written.at(-1)).toBe('Ingesting flights [=====>              ] 25 %, 1 of 4 rows, 1 min 3 s left\n')
  })

  it('prints nothing for instant work, and no percentage without a known total', () => {
    const quick = progressOn({ isTTY: false })
    for (let ms = 0; ms < 900; ms += 100) quick.at(ms, ms, null)
    quick.end()
    expect(quick.written).toEqual([])
    const open = progressOn({ isTTY: false })
    open.at(0, 64, null)
    open.at(2000, 4064, null)
    expect(open.written).toEqual(['Ingesting flights: 4,064 rows, 2,000 rows/s\n'])
  })

  it('of a job shows the chunks, or what its worker is at', () => {
    // a bar is drawn again after a tenth of a second
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const written: string[] = []
    const progress = jobProgress(
      createTerminal(false, { out: process.stdout, err: { isTTY: true, columns: 80, write: (text) => written.push(text) } }),
      'Training daily',
    )
    const job = { chunks: 1, chunksDone: 0, doing: null }
    progress.update(job)
    progress.update({ ...job, doing: { what: 'trainer', done: 0, total: 0 } })
    progress.update(job)
    // what this process says is newer than what is stored
    progress.show({ what: 'evaluation', done: 12, total: 48 })
    progress.update({ ...job, doing: { what: 'trainer', done: 0, total: 0 } })
    progress.end()
    const lines = written.map((text) => text.replaceAll(/\p{Cc}|\[K/gu, '')).filter((text) => text !== '')
    expect(lines).toEqual(['Training daily ...', 'Training daily, trainer ...', 'Training daily, evaluation ...'])
  })

  it('has no number where there is nothing to count', () => {
    const { written, at } = progressOn({ isTTY: false })
    for (let ms = 0; ms <= 12_000; ms += 1000) at(ms, 0, 0)
    expect(written).toEqual(['Ingesting flights ...\n'])
  })

  it('is silent with --json', () => {
    const written: string[] = []
    const out = { write: (text: string) => written.push(text), isTTY: true }
    const progress = createTerminal(true, { out, err: out }).progress('Ingesting', 'rows')
    progress.update(1, 2)
    progress.end()
    expect(written).toEqual([])
  })
})

it('a batch is shown by the path of its folder, and a stored one by its URL', () => {
  const batch = {
    id: 'file:///data/june%20rows',
    job: 3,
    state: 'running',
    model: 'delay',
    version: 1,
    service: 'flight@1',
    out: 'file:///data/june%20rows',
    format: 'parquet',
    parts: 2,
    partsDone: 1,
    rows: 10,
    refused: 0,
    secondsLeft: null,
    workers: [],
    error: null,
    result: null,
    submittedBy: 'tester',
    submittedAt: '2026-01-01T00:00:00Z',
    finishedAt: null,
  } as const
  expect(batchText(batch)).toMatch(/^Batch \/data\/june rows of .*\nOutput: \/data\/june rows\n/)
  expect(batchText({ ...batch, id: 'june', out: 's3://ml/june' })).toMatch(/^Batch june of .*\nOutput: s3:\/\/ml\/june\n/)
})

describe('figures', () => {
  it('are written as people read them', () => {
    expect([0, 999, 1234.5, 59_949, 59_950, 125_000, 12_000_000, 353_000_000].map(duration)).toEqual([
      '0 ms',
      '999 ms',
      '1.2 s',
      '59.9 s',
      '1 min 0 s',
      '2 min 5 s',
      '3 h 20 min',
      '4 d 2 h',
    ])
    expect([0, 999, 1000, 12_345_678, 5e12].map(bytes)).toEqual(['0 B', '999 B', '1.0 kB', '12.3 MB', '5000.0 GB'])
    expect([count(3_000_000), counted(1, 'row'), counted(2, 'entity', 'entities')]).toEqual(['3,000,000', '1 row', '2 entities'])
  })

  it('are in aligned columns, with numbers to the right', () => {
    expect(
      table(
        ['NAME', 'ROWS', 'FILE'],
        [
          ['a', '1,000', 'x'],
          ['long name', '7', ''],
        ],
      ),
    ).toBe(['NAME        ROWS  FILE', 'a          1,000  x', 'long name      7'].join('\n'))
  })
})

describe('an error', () => {
  const told = (json: boolean, error: unknown, showStack = false) => {
    const written: string[] = []
    const streams = { out: { write: () => written.push('on standard output') }, err: { write: (text: string) => written.push(text) } }
    return { code: reportError(error, createTerminal(json, streams), showStack), text: written.join('') }
  }

  it('is one line with its code; exit status 2 for wrong usage, else 1', () => {
    expect(told(false, new LockstepError('UNKNOWN_DEFINITION', 'There is none.'))).toEqual({
      code: 1,
      text: 'error UNKNOWN_DEFINITION: There is none.\n',
    })
    expect(told(false, new LockstepError('USAGE', 'So not.')).code).toBe(2)
    expect(told(false, new TypeError('x is not a function'))).toEqual({ code: 1, text: 'error INTERNAL: x is not a function\n' })
  })

  it('is a JSON document with --json', () => {
    const { text } = told(true, new LockstepError('INVALID_ROW', 'Row 7.', { details: { row: 7, value: 2n ** 60n } }))
    expect(JSON.parse(text)).toEqual({
      error: { code: 'INVALID_ROW', message: 'Row 7.', retriable: false, details: { row: 7, value: '1152921504606846976' } },
    })
    // orchestrators take the last line of an output
    expect(text.trimEnd()).not.toContain('\n')
    const { text: passing } = told(true, new LockstepError('POSTGRES_UNAVAILABLE', 'Line 1.\n  Line 2.'))
    expect(JSON.parse(passing)).toMatchObject({ error: { message: 'Line 1.\n  Line 2.', retriable: true } })
  })

  it('shows its stack only on request', () => {
    const error = new LockstepError('INTERNAL', 'Outer.', { cause: new Error('inner') })
    expect(told(false, error).text).not.toContain(' at ')
    expect(told(false, error, true).text).toMatch(/ at .*screen\.test\.ts[\s\S]*caused by Error: inner/)
  })
})

it('JSON keeps dates as RFC 3339', () => {
  expect(JSON.parse(jsonText({ at: new Date(0) }))).toEqual({ at: '1970-01-01T00:00:00.000Z' })
})
