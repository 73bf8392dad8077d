import type { Judge } from './judge.ts'
import type { FinishedGroup, GroupTally } from './group-tally.ts'
import { createGroupTally } from './group-tally.ts'
import type { GroupSplitter } from './group-splitter.ts'
import { createGroupSplitter } from './group-splitter.ts'
import type { SplitBy } from './slices.ts'
import type { QualityEstimate } from './estimate-unlabelled.ts'
import { estimateUnlabelled } from './estimate-unlabelled.ts'
import type { ScoreSample } from './score-sample.ts'
import { createScoreSample } from './score-sample.ts'

/** One logged prediction, with what came of it. */
export interface OutcomeOfPrediction {
  /** Epoch microseconds. */
  readonly at: number
  readonly version: number
  readonly role: string
  /** A hash of the key of its entity, an int32. */
  readonly entity: number
  /** The judged output. */
  readonly output: unknown
  /** The values that rows are split by, by name. */
  readonly columns: Readonly<Record<string, unknown>>
  /** null: no row said what came of it. */
  readonly outcome: unknown
  /** Whether its outcome can no longer come. */
  readonly mature: boolean
}

/** How the logged predictions of a group divide. */
export interface PredictionCounts {
  readonly predictions: number
  /** They have an outcome and are mature: figures are of them. */
  readonly judged: number
  readonly immature: number
  /** Mature, and without an outcome. */
  readonly withoutOutcome: number
  /** Mature, with an output or outcome that cannot be compared, such as NaN. */
  readonly unreadable: number
}

export interface JudgedGroup extends PredictionCounts, FinishedGroup {
  /** By name of the split. */
  readonly by: Readonly<Record<string, string>>
  /** How many entities are behind the judged predictions; null: more than are kept apart. */
  readonly entities: number | null
}

export interface JudgedPredictions {
  readonly total: JudgedGroup
  readonly groups: readonly JudgedGroup[]
  /** Whether more groups were found than are kept apart: the rest is one group. */
  readonly isFull: boolean
  /** Of classifiers, by version that has immature predictions. */
  readonly estimates: readonly (QualityEstimate & { readonly version: number })[]
}

export interface JudgeSettings {
  readonly judge: Judge
  readonly by: readonly SplitBy[]
  /** The first rows: bins of numbers are made from them. */
  readonly first: readonly OutcomeOfPrediction[]
  /** How many scores are kept in all and by group; more are sampled. */
  readonly limits?: { readonly total: number; readonly group: number }
}

const defaultLimits = { total: 2_000_000, group: 200_000 }
/** Rows that calibrate scores, and rows without an outcome, of one version. */
const estimateLimit = 20_000
/** Curves cost more than all other figures. */
const maxCurves = 20

interface Counted {
  readonly tally: GroupTally
  predictions: number
  immature: number
  withoutOutcome: number
  unreadable: number
}

/** Takes one row after the other, in bounded memory. */
export function createPredictionJudge({ judge, by, first, limits = defaultLimits }: JudgeSettings) {
  const createCounted = (limit: number): Counted => ({
    tally: createGroupTally(judge, limit),
    predictions: 0,
    immature: 0,
    withoutOutcome: 0,
    unreadable: 0,
  })
  const total = createCounted(limits.total)
  const splitter: GroupSplitter<Counted> | null = by.length === 0 ? null : createGroupSplitter(by, first, () => createCounted(limits.group))
  const samples = new Map<number, { readonly labelled: ScoreSample; readonly unlabelled: ScoreSample }>()

  function sampleOf(version: number) {
    let sample = samples.get(version)
    if (sample === undefined) {
      sample = {
        labelled: createScoreSample(estimateLimit, { withTimes: true }),
        unlabelled: createScoreSample(estimateLimit),
      }
      samples.set(version, sample)
    }
    return sample
  }

  function addTo(group: Counted, row: OutcomeOfPrediction, score: number | string | null, outcome: number | string | null): void {
    group.predictions++
    if (!row.mature) group.immature++
    else if (row.outcome === null) group.withoutOutcome++
    else if (score === null || outcome === null) group.unreadable++
    else group.tally.add({ entity: row.entity, score, outcome })
  }

  return {
    add(row: OutcomeOfPrediction): void {
      const score = judge.score(row.output)
      const outcome = row.outcome === null ? null : judge.outcome(row.outcome)
      addTo(total, row, score, outcome)
      if (splitter !== null) addTo(splitter.of(row), row, score, outcome)
      if (judge.kind !== 'binary' || judge.decides || typeof score !== 'number') return
      if (!row.mature) sampleOf(row.version).unlabelled.add(score, 0, 0)
      else if (typeof outcome === 'number') sampleOf(row.version).labelled.add(score, outcome, row.at)
    },

    finish(): JudgedPredictions {
      const groups = splitter?.groups() ?? []
      const finished = ({ tally, ...counts }: Counted, labels: Readonly<Record<string, string>>, withCurve: boolean): JudgedGroup => ({
        by: labels,
        ...counts,
        judged: tally.rows,
        entities: tally.entities(),
        ...tally.finish(withCurve),
      })
      return {
        total: finished(total, {}, true),
        groups: groups.map(({ by: labels, group }) => finished(group, labels, groups.length <= maxCurves)),
        isFull: splitter?.isFull ?? false,
        estimates: [...samples]
          .filter(([, { unlabelled }]) => unlabelled.seen > 0)
          .toSorted(([a], [b]) => a - b)
          .map(([version, { labelled, unlabelled }]) => ({
            version,
            ...estimateUnlabelled(
              {
                scores: Array.from(labelled.scores()),
                labels: Array.from(labelled.labels(), (label) => label === 1),
                times: Array.from(labelled.times()),
              },
              Array.from(unlabelled.scores()),
              unlabelled.seen,
              judge.threshold,
            ),
          })),
      }
    },
  }
}
