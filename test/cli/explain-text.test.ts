import { expect, it } from 'vitest'
import type { Explained } from '../../cli/text/explain-text.ts'
import { explainedText } from '../../cli/text/explain-text.ts'

const row = (eventTime: string, knownTime: string | null, value?: number, visibleAt = knownTime) => ({
  eventTime,
  knownTime,
  visibleAt,
  row: Number(eventTime.slice(8, 10)),
  ...(value === undefined ? {} : { value }),
})
const ofService = { service: 'fraud_features@1', onDemand: [{ feature: 'ofDay', view: 'payment@1' }] }
const explained: Explained = {
  ...ofService,
  asOf: '2026-03-10T12:00:00Z',
  views: [
    {
      view: 'spending@1',
      source: 'payments',
      key: { card: 'c36' },
      availability: '0 * * * * + 10m',
      rows: { visible: 3, notYetVisible: 12, dropped: 1 },
      notYetVisible: [
        row('2026-03-09T00:00:00Z', '2026-03-10T13:00:00Z'),
        row('2026-03-11T00:00:00Z', '2026-03-11T00:00:00Z'),
        row('2026-03-08T00:00:00Z', '2026-03-10T11:59:00Z', undefined, '2026-03-10T13:10:00Z'),
        row('2026-03-07T00:00:00Z', null),
      ],
      features: [
        {
          feature: 'lastAmount',
          column: 'amount',
          value: 12,
          status: 'PRESENT',
          kind: 'latest',
          ttl: '2d',
          candidates: 2,
          winner: row('2026-03-05T00:00:00Z', '2026-03-05T01:00:00Z', 12),
          beaten: [{ ...row('2026-03-04T00:00:00Z', '2026-03-04T01:00:00Z', 7), why: 'earlier event' }],
        },
        {
          feature: 'lastShop',
          column: 'shop',
          value: null,
          status: 'NULL_VALUE',
          kind: 'latest',
          candidates: 0,
          winner: null,
          beaten: [],
        },
        {
          feature: 'greatest7d',
          column: 'amount',
          value: null,
          status: 'NULL_VALUE',
          kind: 'window',
          aggregate: 'max',
          window: '7d',
          hop: '1h',
          span: { from: '2026-03-03T12:00:00Z', to: '2026-03-10T12:00:00Z' },
          outsideWindow: 1,
          where: 'abroad',
          excludedByWhere: 2,
          counted: 5,
          winner: row('2026-03-04T00:00:00Z', '2026-03-04T01:00:00Z', 7),
          newest: [row('2026-03-05T00:00:00Z', '2026-03-05T01:00:00Z', 2), row('2026-03-04T00:00:00Z', '2026-03-04T01:00:00Z', 7)],
        },
      ],
    },
  ],
}

it('lists the rows of each feature with their times, whether each counts, and why', () => {
  expect(explainedText(explained)).toBe(
    `
spending@1 of {"card":"c36"} as of 2026-03-10T12:00:00Z
Of its rows in the source payments, 3 can count, and 12 cannot yet. The transform drops 1 row.

lastAmount = 12
  The newest of 2 rows gives the value. It may be at most 2 d old.
  EVENT TIME            KNOWN                 VALUE  ROW  COUNTS
  2026-03-05T00:00:00Z  2026-03-05T01:00:00Z     12    5  yes
  2026-03-04T00:00:00Z  2026-03-04T01:00:00Z      7    4  no: earlier event

lastShop = null, status NULL_VALUE
  No row can give the value.

greatest7d = null, status NULL_VALUE
  max of amount over the last 7 d: 5 rows count, the newest 2 of which are listed. The window begins at 2026-03-03T12:00:00Z; 1 row is older. Its "where" (abroad) leaves out 2 rows.
  EVENT TIME            KNOWN                 VALUE  ROW  COUNTS
  2026-03-04T00:00:00Z  2026-03-04T01:00:00Z      7    4  yes: it gives the value
  2026-03-05T00:00:00Z  2026-03-05T01:00:00Z      2    5  yes

These rows cannot count yet (the first 4 of 12):
  EVENT TIME            KNOWN                 COUNTS FROM           ROW  COUNTS
  2026-03-09T00:00:00Z  2026-03-10T13:00:00Z  2026-03-10T13:00:00Z    9  no: it is known later
  2026-03-11T00:00:00Z  2026-03-11T00:00:00Z  2026-03-11T00:00:00Z   11  no: it happens later
  2026-03-08T00:00:00Z  2026-03-10T11:59:00Z  2026-03-10T13:10:00Z    8  no: the view is refreshed later
  2026-03-07T00:00:00Z  never                 never                   7  no, never: it has no known time

Computed from these values and those of the request: ofDay (payment@1).
`.trim(),
  )
})
