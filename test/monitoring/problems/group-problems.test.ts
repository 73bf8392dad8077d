import { describe, expect, it } from 'vitest'
import type { Alert } from '../../../monitoring/alerts/read-alerts.ts'
import { findProblems, noDetails } from '../../../monitoring/problems/find-problems.ts'
import type { FoundProblem } from '../../../monitoring/problems/problem.ts'
import { groupProblems } from '../../../monitoring/problems/problem.ts'
import type { ViewFreshness } from '../../../monitoring/freshness/view-freshness.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { headlineOf, readinessProblems } from '../../../serving/dashboard/now/problems.ts'
import type { Job } from '../../../runtime/jobs/read-jobs.ts'
import { servicePlan } from '../../serving/plans.ts'

const now = Date.UTC(2026, 2, 2) * 1000

function problem(id: string, more: Partial<FoundProblem> = {}): FoundProblem {
  return { ...noDetails, id, severity: 'warn', what: id, link: { kind: 'now', id: '' }, causes: [], follows: [], ...more }
}

/** `cause: consequence, consequence` */
const texts = (found: readonly FoundProblem[]) =>
  groupProblems(found).map(({ what, consequences }) => [what, consequences.map((each) => each.what).join(', ')].join(': '))

describe('problems by cause', () => {
  it('stand under the first cause, however long the way to it is', () => {
    const found = [problem('c', { follows: ['none', 'b'] }), problem('b', { follows: ['a'] }), problem('a'), problem('d')]
    expect(texts(found)).toEqual(['a: c, b', 'd: '])
  })

  it('follow from another name of their cause, and from the first of their own name', () => {
    const found = [problem('a', { causes: ['x'] }), problem('b', { follows: ['x'] }), problem('a', { what: 'a again' })]
    expect(texts(found)).toEqual(['a: b, a again'])
  })

  it('that follow from each other are all listed', () => {
    const circle = [problem('a', { follows: ['b'] }), problem('b', { follows: ['a'] })]
    expect(texts([...circle, problem('c', { follows: ['b'] })])).toEqual(['a: ', 'b: c'])
  })

  it('are as severe as the worst, and last since the first where nothing else is known', () => {
    const worst = problem('b', { follows: ['a'], severity: 'page', since: '2026-03-01T12:00:00Z' })
    const found = [
      problem('info', { severity: 'info' }),
      problem('a'),
      worst,
      problem('c', { follows: ['a'], since: '2026-03-01T11:00:00Z' }),
    ]
    expect(groupProblems(found)).toMatchObject([
      { what: 'a', severity: 'page', since: '2026-03-01T11:00:00Z', consequences: [{ what: 'b' }, { what: 'c' }] },
      { what: 'info' },
    ])
  })
})

describe('problems that are found', () => {
  const plan = servicePlan('route').uses[0]?.plan
  if (plan === undefined) throw new Error('The service reads a view.')
  const view = plan.id
  const source = plan.spec.source.name
  const catalog = {
    views: new Map([[view, plan]]),
    onDemand: new Map(),
    sources: new Map([[source, plan.spec.source]]),
    monitors: new Map(),
    models: new Map([['delay', {}]]),
  } as unknown as Catalog
  const late = {
    view,
    late: `The view "${view}" is late.`,
    lag: { rows: 1, transactions: 1, seconds: 3600 },
    failing: null,
  } as ViewFreshness
  const lateView: ViewFreshness = { ...late, setAside: { entities: 0, messages: [], errors: [] } as unknown as ViewFreshness['setAside'] }
  let id = 0
  const alert = (monitor: string, check: string, subject: string, evidence: object = {}): Alert => {
    const result = { subject, state: 'breach', value: 1, threshold: 0, n: 1, evidence, cause: 'why' }
    return {
      id: ++id,
      monitor,
      check,
      subject,
      severity: 'ticket',
      started: now,
      silencedUntil: null,
      runbook: null,
      startedWith: result,
      result,
    } as unknown as Alert
  }
  const failure = (job: number, more: Partial<Job> = {}): Job =>
    ({ id: job, kind: 'backfill', key: null, moment: null, subject: view, spec: {}, error: null, finishedAt: null, ...more }) as Job
  const column = (own: object) => ({ columns: [{ column: 'c', state: 'breach', evidence: own }] })
  const nothing = { alerts: [], failed: [], trainings: [], views: [], lacks: [], storeFailure: null, lacksWorker: false }
  const found = (sources: object) => texts(findProblems(catalog, { ...nothing, ...sources }, now))
  const ofSource = `${source} (model version 1)`

  it('are one where no worker runs: a late view, its alert, its failed run, stale values, drift, and worse answers', () => {
    const failed = [failure(7, { kind: 'scheduled-run', error: { code: 'INTERNAL', message: 'no' } })]
    const alerts = [
      alert(`view:${view}`, 'freshness', view),
      alert('model:delay', 'nulls', ofSource, column({ statuses: [{ status: 'OUTSIDE_MAX_AGE' }] })),
      alert('daily:delay', 'drift', ofSource, column({ causes: [{ kind: 'source late' }] })),
      alert('model:delay', 'predictions', 'delay (model version 1)', column({ causes: [{ kind: 'features drifted' }] })),
      alert('daily:delay', 'quality', 'delay'),
      alert('system:jobs', 'jobs', 'jobs', { stuck: [{ job: 9, worker: null }] }),
    ]
    const sources = { alerts, failed, views: [lateView], lacksWorker: true }
    const groups = groupProblems(findProblems(catalog, { ...nothing, ...sources }, now))
    expect(groups.map((group) => [group.id, group.consequences.length])).toEqual([['worker', 8]])
    expect(groups[0]?.since).toBe('2026-03-01T23:00:00Z')
    expect(groups[0]?.consequences.find(({ link }) => link.kind === 'view')?.cause).toBe('The newest job that failed: no')
  })

  it('are apart where the evidence does not say that one follows from the other', () => {
    const alerts = [
      alert('model:delay', 'nulls', ofSource, column({ statuses: [{ status: 'NULL_VALUE' }] })),
      alert('model:delay', 'predictions', 'delay (model version 1)', column({ causes: [{ kind: 'unknown' }] })),
      alert('model:delay', 'traffic', 'delay'),
    ]
    expect(found({ alerts, views: [lateView] })).toHaveLength(4)
  })

  it('do not follow from a view that became late after they began', () => {
    const stale = alert('model:delay', 'nulls', ofSource, column({ statuses: [{ status: 'OUTSIDE_MAX_AGE' }] }))
    const fresh = { ...stale, started: now - 7_200_000_000 }
    expect(found({ alerts: [stale], views: [lateView] })).toHaveLength(1)
    expect(found({ alerts: [fresh], views: [lateView] })).toHaveLength(2)
    expect(found({ alerts: [{ ...alert('', 'freshness', view), started: now - 7_200_000_000 }], views: [lateView] })).toHaveLength(1)
  })

  it('of an alert name the command by which its cause shows more, else one that shows the alert', () => {
    const plain = alert('model:delay', 'traffic', 'delay')
    const commandOf = (cause: string) => {
      const alerts = [{ ...plain, startedWith: { ...plain.startedWith, cause } }]
      return findProblems(catalog, { ...nothing, alerts }, now)[0]?.command
    }
    const show = `lockstep alert show ${plain.id}`
    expect(commandOf('why')).toBe(show)
    expect(commandOf('"x" differs. "lockstep drift delay" shows all columns.')).toBe('lockstep drift delay')
    expect(commandOf('It failed. "lockstep job show 9" shows it. Run "lockstep job retry 9".')).toBe('lockstep job show 9')
    // the values of requests stand in causes, and a command that changes something needs its sentence
    expect(commandOf('new: "lockstep erase card 7". "lockstep drift delay" shows all columns.')).toBe('lockstep drift delay')
    expect(commandOf('new: "lockstep drift delay; rm -r .", "lockstep parity $(id)"')).toBe(show)
    expect(commandOf('Check that worker; "lockstep job cancel 9" ends the job')).toBe(show)
  })

  it('of the values of one source are one, in all checks, monitors and versions', () => {
    const alerts = [
      alert('model:delay', 'nulls', ofSource, column({ statuses: [{ status: 'NULL_VALUE' }] })),
      alert('distances', 'drift', ofSource, column({ causes: [{ kind: 'statuses moved' }] })),
      alert('daily:delay', 'drift', `${source} (model version 2)`),
    ]
    expect(found({ alerts })).toEqual([
      `model:delay: nulls of ${ofSource}: distances: drift of ${ofSource}, daily:delay: drift of ${source} (model version 2)`,
    ])
  })

  it('follow from a source that has stopped, and from a store that does not answer', () => {
    const stale = alert('model:delay', 'nulls', ofSource, column({ statuses: [{ status: 'OUTSIDE_MAX_AGE' }] }))
    expect(found({ alerts: [stale, alert('system:sources', 'arrivals', source)] })).toEqual([
      `system:sources: arrivals of ${source}: model:delay: nulls of ${ofSource}`,
    ])
    const failing = alert('model:delay', 'errors', 'delay')
    expect(found({ alerts: [failing], views: [lateView], storeFailure: 'Redis is down.' })).toEqual([
      `Redis is down.: The view "${view}" is late., model:delay: errors of delay`,
    ])
  })

  it('of errors that burn the budget fast and slowly are one', () => {
    const alerts = ['slow', 'fast'].map((burn) => alert('model:delay', 'errors', `delay (${burn} burn)`))
    expect(found({ alerts })).toEqual(['model:delay: errors of delay (fast burn): model:delay: errors of delay (slow burn)'])
    expect(found({ alerts: alerts.slice(0, 1) })).toEqual(['model:delay: errors of delay (slow burn): '])
  })

  it('of jobs follow from the first that failed', () => {
    const failed = [9, 8, 7].map((job) => failure(job))
    expect(found({ failed })).toEqual([
      `The job 7 (backfill of ${view}) failed.: The job 8 (backfill of ${view}) failed., The job 9 (backfill of ${view}) failed.`,
    ])
  })

  it('of the jobs of one schedule are one, with the newest, and its alert follows', () => {
    const at = (minute: number) => ({ finishedAt: new Date(Date.UTC(2026, 2, 1, 12, minute)) })
    const nightly = (job: number, minute: number) =>
      failure(job, { kind: 'batch', subject: `nightly/${minute}`, spec: { schedule: 'nightly' }, ...at(minute) })
    const start = failure(8, { kind: 'scheduled-batch', subject: 'nightly', key: 'nightly', moment: 1, ...at(2) })
    const other = failure(7, { kind: 'batch', subject: 'once', spec: { schedule: null }, ...at(0) })
    const alerts = [alert('system:jobs', 'jobs', 'scheduled-batch nightly', { failed: [{ job: 6 }] })]
    const failed = [nightly(9, 3), start, other, nightly(6, 1)]
    expect(found({ alerts, failed })).toEqual([
      'The job 9 (batch of nightly/3) failed, and 2 more of its schedule since 2026-03-01T12:01:00Z.: system:jobs: jobs of scheduled-batch nightly',
      'The job 7 (batch of once) failed.: ',
    ])
    const many = Array.from({ length: 100 }, (_, n) => nightly(300 - n, 60 - n))
    expect(found({ failed: [...many, other] })).toHaveLength(2)
  })

  it('of models that the registry no longer has are apart', () => {
    const alerts = [
      alert('daily:gone', 'drift', 'one (model version 1)'),
      alert('daily:lost', 'quality', 'lost'),
      alert('daily:lost', 'predictions', 'lost (model version 1)', column({ causes: [{ kind: 'features drifted' }] })),
    ]
    expect(found({ alerts })).toHaveLength(3)
  })

  it('of a server count where its views have no problem that is as severe', () => {
    const sources = { ...nothing, views: [lateView] }
    const readiness = {
      ready: false,
      failing: [],
      degraded: [],
      reasons: [`The view "${view}" cannot be read.`],
      warnings: [`The view "${view}" is late.`],
    }
    const problems = readinessProblems(readiness, sources, findProblems(catalog, sources, now))
    expect(problems.map(({ severity, what }) => [severity, what])).toEqual([['page', `The view "${view}" cannot be read.`]])
  })

  it('of a view whose run is overdue last since the run should have counted', () => {
    const overdue = { ...lateView, lag: { rows: 0, transactions: 0, seconds: 0 }, overdueSince: now - 60_000_000 }
    expect(findProblems(catalog, { ...nothing, views: [overdue] }, now)).toMatchObject([{ since: '2026-03-01T23:59:00Z' }])
  })

  it('of a view that was never materialized do not follow from a missing worker', () => {
    const lacks = [{ view, code: 'NOT_READY', problem: 'It is not materialized.' }]
    expect(groupProblems(findProblems(catalog, { ...nothing, views: [lateView], lacks, lacksWorker: true } as never, now))).toMatchObject([
      { what: 'It is not materialized.', severity: 'page', consequences: [] },
      { id: 'worker', consequences: [] },
    ])
  })

  it('link to the alert, and to what it is about', () => {
    const about = (monitor: string, subject: string) => {
      const [first] = findProblems(catalog, { ...nothing, alerts: [alert(monitor, 'drift', subject)] }, now)
      expect(first?.link).toEqual({ kind: 'alert', id: String(id) })
      return first?.about
    }
    expect(about('model:delay', ofSource)).toEqual({ kind: 'source', id: source })
    expect(about('model:delay', `${view} (model version 3)`)).toEqual({ kind: 'view', id: view })
    expect(about('daily:delay', 'gone (model version 1)')).toEqual({ kind: 'model', id: 'delay' })
    expect(about('system:jobs', 'jobs')).toBeNull()
  })
})

describe('the headline', () => {
  const info = problem('i', { severity: 'info' })
  const [one, other, urgent] = [problem('a'), problem('b'), problem('c', { severity: 'page' })]
  it.each([
    [[], 'All is well.'],
    [[info], 'All is well, with 1 notice.'],
    [[one], '1 problem.'],
    [[one, info], '1 problem and 1 notice.'],
    [[one, other], '2 problems.'],
    [[urgent], '1 urgent problem.'],
    [[urgent, one], '2 problems, 1 of them urgent.'],
    [[urgent, one, info, info], '2 problems, 1 of them urgent, and 2 notices.'],
  ])('counts what is listed: %#', (problems, headline) => {
    expect(headlineOf(problems, false).headline).toBe(headline)
  })

  it('does not say of the past that no alert fired where a silenced one did', () => {
    expect(headlineOf([info], true)).toEqual({ headline: 'All was well then, with 1 notice.', isWell: true })
  })
})
