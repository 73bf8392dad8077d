import { z } from 'zod'
import { hourMicros, parseTimestamp } from '../../../kernel/values/time.ts'
import { differences } from '../../../monitoring/parity/classify.ts'
import type { ParityHour } from '../../../monitoring/parity/stored-parity.ts'
import { readParity } from '../../../monitoring/parity/stored-parity.ts'
import type { ParityData } from '../contract/parity.ts'
import { parity } from '../contract/parity.ts'
import { percent } from '../models/drift-lines.ts'
import { readModel } from '../read-model.ts'

const maxHours = 31 * 24
const moment = z.string().max(60).optional()

type Cell = NonNullable<ParityData['rows'][number]['cells'][number]>

/** What the parity checks found, by feature and hour. */
export const parityModel = readModel({
  path: '/parity',
  scope: 'ui:read',
  query: z.object({ from: moment, to: moment }),
  data: parity,
  async read({ db, now, query }) {
    const to = query.to === undefined || query.to === '' ? now : parseTimestamp(query.to)
    const asked = query.from === undefined || query.from === '' ? to - 24 * hourMicros : parseTimestamp(query.from)
    const from = Math.floor(Math.max(asked, to - maxHours * hourMicros) / hourMicros) * hourMicros
    const found = await readParity(db, { from, to })
    const times: number[] = []
    for (let at = from; at <= to; at += hourMicros) times.push(at / 1000)
    const rows = [...Map.groupBy(found, ({ view, feature }) => `${view} ${feature}`)].map(([, of]): ParityData['rows'][number] => {
      const hours = Map.groupBy(of, ({ hour }) => hour.getTime())
      const [first] = of
      return { feature: first?.feature ?? '', view: first?.view ?? '', cells: times.map((t) => cellOf(hours.get(t))) }
    })
    const data: ParityData = { finding: findingOf(found), checkedAt: found.at(-1)?.hour.toISOString() ?? null, times, rows }
    return { data, sampled: 'logged answers, at most LOCKSTEP_PARITY_PER_MINUTE of them a minute' }
  },
})

function cellOf(of: readonly ParityHour[] | undefined): Cell | null {
  if (of === undefined) return null
  const { checked, erased, different, differing } = tallyOf(of)
  return {
    checked,
    erased,
    share: checked === 0 ? 0 : differing / checked,
    by: Object.fromEntries(different.map(({ verdict, count }) => [verdict, count])),
    example: different.find(({ example }) => example !== null)?.example ?? null,
  }
}

/** Erased values are neither equal nor different. */
function tallyOf(found: readonly ParityHour[]) {
  const sum = (hours: readonly ParityHour[]): number => hours.reduce((all, { count }) => all + count, 0)
  const different = found.filter(({ verdict }) => differences.some((each) => each === verdict))
  const erased = sum(found.filter(({ verdict }) => verdict === 'erased'))
  return { checked: sum(found) - erased, erased, different, differing: sum(different) }
}

function findingOf(found: readonly ParityHour[]): string {
  const { checked, erased, differing } = tallyOf(found)
  const count = (n: number): string => n.toLocaleString('en-US')
  const left = erased === 0 ? '' : ` ${count(erased)} more cannot be compared, because rows of their sources were erased since.`
  if (checked + erased === 0) return 'Nothing was checked in this time. Servers check logged vectors if LOCKSTEP_PARITY_PER_MINUTE is set.'
  if (checked === 0) return `None of ${count(erased)} served values can be compared, because rows of their sources were erased since.`
  if (differing === 0) return `None of ${count(checked)} served values differs from those of training.${left}`
  return `${percent(differing / checked)} of ${count(checked)} served values differ from those of training.${left}`
}
