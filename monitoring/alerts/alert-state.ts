/**
 * The result of an evaluation. Unknown (a gap, too few rows) starts no alert and ends none.
 */
export type MonitorFinding = 'ok' | 'breach' | 'unknown'

export interface AlertRules {
  readonly everyMicros: number
  /** How long a check must breach before its alert fires; 0: it fires at once. */
  readonly forMicros: number
  /** How many evaluations in a row must be fine before the alert is resolved. */
  readonly clearAfter: number
}

/** Where one check of one subject stands. All times are epoch microseconds. */
export interface AlertState {
  readonly phase: 'ok' | 'pending' | 'firing'
  /** The moment of the newest evaluation. */
  readonly moment: number
  readonly finding: MonitorFinding
  /** How long it has breached, as far as evaluations say so. */
  readonly breachedMicros: number
  /** While firing: how many evaluations were fine since the last breach. */
  readonly fine: number
  /** The moment of the first of the unknown evaluations at the end; null: the newest one is known. */
  readonly unknownSince: number | null
  /** Whether any evaluation was known. */
  readonly hadData: boolean
}

export interface Step {
  readonly state: AlertState
  readonly change: 'fires' | 'resolves' | null
}

/** Between two breaches that are further apart than this many periods, evaluations were missed. */
const maxPeriods = 2

/**
 *     ok ──breach──▶ pending ──breach for long enough──▶ firing
 *     ▲                 │ok                                │ok, so many times in a row
 *     └─────────────────┴──────────────────────────────────┘
 *
 * An evaluation that is not newer than the last one changes nothing. Unknown ones leave the phase as it is, and their
 * time does not count as a breach.
 *
 * @param before null: this is the first evaluation
 */
export function nextState(before: AlertState | null, finding: MonitorFinding, moment: number, rules: AlertRules): Step {
  if (before !== null && moment <= before.moment) return { state: before, change: null }
  const known = finding !== 'unknown'
  const base = {
    moment,
    finding,
    unknownSince: known ? null : (before?.unknownSince ?? moment),
    hadData: known || (before?.hadData ?? false),
  }
  const phase = before?.phase ?? 'ok'
  const quiet = { ...base, phase: 'ok', breachedMicros: 0, fine: 0 } as const
  if (finding === 'unknown') {
    return { state: { ...base, phase, breachedMicros: before?.breachedMicros ?? 0, fine: before?.fine ?? 0 }, change: null }
  }
  if (finding === 'ok') {
    if (phase !== 'firing') return { state: quiet, change: null }
    const fine = (before?.fine ?? 0) + 1
    if (fine >= rules.clearAfter) return { state: quiet, change: 'resolves' }
    return { state: { ...base, phase, breachedMicros: 0, fine }, change: null }
  }
  if (phase === 'firing') return { state: { ...base, phase, breachedMicros: 0, fine: 0 }, change: null }
  const since = before !== null && before.finding === 'breach' ? Math.min(moment - before.moment, maxPeriods * rules.everyMicros) : 0
  const breachedMicros = (phase === 'pending' ? (before?.breachedMicros ?? 0) : 0) + since
  const fires = breachedMicros >= rules.forMicros
  return { state: { ...base, phase: fires ? 'firing' : 'pending', breachedMicros, fine: 0 }, change: fires ? 'fires' : null }
}

/**
 * The result of the check "no data" about another check: a breach if a subject that had data has had none for so long.
 *
 * @param noDataMicros null: that never alarms
 */
export function noDataFinding({ unknownSince, hadData, moment }: AlertState, noDataMicros: number | null): MonitorFinding {
  if (unknownSince === null || noDataMicros === null || !hadData) return 'ok'
  return moment - unknownSince >= noDataMicros ? 'breach' : 'ok'
}
