import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createRandom } from '../../statistics/random.ts'
import { power, unitsNeeded } from '../../statistics/power.ts'
import { pythonWith } from '../../test/python-with.ts'
import type { MetricKind } from './simulate-looks.ts'
import { entityKinds, lookAtFewEntities } from './few-entities.ts'
import { entityMixes, lookAtSlowEntities } from './slow-entities.ts'
import { growingLooks, lookOften, metricKinds } from './simulate-looks.ts'
import { assignmentTests, covariateReduction, runBandit, sampleRatioAlarms } from './simulate-splits.ts'

const [alpha, tightestAt, looks, units] = [0.05, 5000, 1000, 40_000]

/**
 * How often the statistics of experiments are wrong when somebody looks 1,000 times, from 100 to 40,000 units, beside
 * GrowthBook's sequential test on the same units and an interval of a fixed horizon that is looked at as often.
 *
 *     aa_false_positive           the greatest share of A/A experiments that found a difference, over kinds and splits
 *     gbstats_aa_false_positive   the same of GrowthBook's test, over fewer repeats
 *     fixed_aa_false_positive     the same of the fixed horizon
 *     coverage                    the least share of experiments all of whose intervals held the truth
 *     srm_false_positive          sample ratios that 1,000 looks at .01 called wrong, the most over splits
 *     power_sequential            at twice the units at which a fixed horizon has a power of .8
 *     units_ratio                 median units until the sequence finds the effect, over those of the fixed horizon
 *     cuped_variance_ratio        variance that covariates leave over what theory says, the farthest from 1
 *     assignment_even_p           of chi-squared tests of the places of 1,000,000 units, the least over 10 salts
 *     assignment_independent_p    the same of two salts together
 *     bandit_regret_ratio         regret over that of equal shares
 *     bandit_coverage             bandits all of whose intervals held the truth
 *     bandit_bias, bandit_naive_bias   of an arm's mean in standard deviations of a unit
 *     gate_beyond_alpha           rollouts of candidates that are as good as allowed, in which a look of a gate of
 *                                 outcomes exceeded the bound of .01, the most over kinds, shares and sizes
 *     gate_rolled_back            of these, those that the gate rolled back: it waits for enough entities
 *     latency_rolled_back         rollouts of candidates that are as fast, which the gate of latency rolled back, where
 *                                 some entities are slow, the most over mixes of entities
 */
export async function experimentStatistics(repeats: number, gbstatsRepeats: number, say: (line: string) => void) {
  const peer = gbstatsRepeats > 0 ? await startGbstats() : null
  say('  metric               split  needs units   A/A ours   GrowthBook   fixed horizon   coverage of an effect')
  const aa: { name: string; share: number; own: number; gbstats: number | null; fixed: number; coverage: number }[] = []
  for (const kind of metricKinds)
    for (const share of [0.5, 0.1]) {
      const line = await lineOf(kind, share, repeats, kind.quantile === undefined ? gbstatsRepeats : 0, peer)
      aa.push(line)
      const [own, gbstats, fixed, coverage] = [line.own, line.gbstats, line.fixed, line.coverage].map((value) =>
        value === null || Number.isNaN(value) ? '-' : `${(value * 100).toFixed(1)} %`,
      ) as [string, string, string, string]
      say(
        `  ${kind.name.padEnd(21)}${`${100 - share * 100}/${share * 100}`.padStart(5)}${String(line.needs).padStart(13)}` +
          `${own.padStart(11)}${gbstats.padStart(13)}${fixed.padStart(16)}${coverage.padStart(15)}`,
      )
    }
  await peer?.close()
  const found = sequentialPower(repeats)
  say(`power: fixed horizon .8 at ${found.fixedUnits} units; sequence ${found.power.toFixed(2)} at twice as many, median ${found.median}`)
  const ratios = [
    [0.5, 0.5],
    [0.9, 0.1],
    [0.5, 0.3, 0.2],
  ].map((shares) => ({ shares, ...sampleRatioAlarms(shares, repeats) }))
  for (const { shares, own, chiSquared } of ratios)
    say(`sample ratio ${shares.join('/')}: ${percent(own)} false alarms at 1 %; chi-squared test at each look ${percent(chiSquared)}`)
  const reductions = [[0.8], [0.5, 0.5], [0.3]].map((correlations) => covariateReduction(correlations, 20_000))
  say(`covariates leave ${reductions.map((each) => each.toFixed(3)).join(', ')} times the variance that theory says`)
  const places = assignmentTests(
    1_000_000,
    Array.from({ length: 10 }, (_, i) => `salt-${i}`),
  )
  say(
    `places of 1,000,000 units: p ${places.even.toFixed(3)} that they are even, ${places.independent.toFixed(3)} that salts are independent`,
  )
  const bandit = banditFigures(Math.ceil(repeats / 2))
  say(
    `bandit: regret ${bandit.bandit_regret_ratio} of equal shares, coverage ${bandit.bandit_coverage}, bias ${bandit.bandit_bias}, ` +
      `of the plain mean ${bandit.bandit_naive_bias}`,
  )
  const gates = gateFigures(repeats, say)
  const known = aa.flatMap(({ gbstats }) => (gbstats === null ? [] : [gbstats]))
  return {
    aa_false_positive: rounded(Math.max(...aa.map(({ own }) => own))),
    gbstats_aa_false_positive: known.length === 0 ? null : rounded(Math.max(...known)),
    fixed_aa_false_positive: rounded(Math.max(...aa.flatMap(({ fixed }) => (Number.isNaN(fixed) ? [] : [fixed])))),
    coverage: rounded(Math.min(...aa.flatMap(({ own, coverage }) => [1 - own, coverage]))),
    srm_false_positive: rounded(Math.max(...ratios.map(({ own }) => own))),
    power_sequential: rounded(found.power),
    units_ratio: rounded(found.median / found.fixedUnits),
    cuped_variance_ratio: rounded(reductions.toSorted((a, b) => Math.abs(b - 1) - Math.abs(a - 1))[0] as number),
    assignment_even_p: rounded(places.even),
    assignment_independent_p: rounded(places.independent),
    ...bandit,
    ...gates,
  }
}

/** Gates of outcomes with few entities: what a gate that counts rows only would roll back, and what ours does. */
function gateFigures(repeats: number, say: (line: string) => void) {
  const most = { beyond: 0, rolledBack: 0 }
  say('  entities of the smaller version, their kind       share   beyond 1 %   rolled back')
  for (const kind of entityKinds)
    for (const share of [0.05, 0.5, 0.9])
      for (const entities of [20, 100, 300]) {
        const { beyond, rolledBack } = lookAtFewEntities(kind, { entities, share, repeats: Math.ceil(repeats / 4) })
        most.beyond = Math.max(most.beyond, beyond)
        most.rolledBack = Math.max(most.rolledBack, rolledBack)
        say(
          `  ${String(entities).padStart(3)} ${kind.name.padEnd(44)}${percent(share).padStart(7)}${percent(beyond).padStart(13)}${percent(rolledBack).padStart(14)}`,
        )
      }
  let latency = 0
  say('  latency, where a tenth of the entities are slow      candidate   rolled back      held   by requests alone   rolled back by step')
  for (const mix of entityMixes)
    for (const slower of [1, 1.5, 2]) {
      const { rolledBack, held, byRequests } = lookAtSlowEntities(mix, {
        slower,
        // a draw among many entities takes longer
        repeats: Math.ceil(repeats / (mix.entities > 10_000 ? 40 : slower === 1 ? 4 : 8)),
      })
      const all = rolledBack.reduce((sum, share) => sum + share, 0)
      if (slower === 1) latency = Math.max(latency, all)
      say(
        `  ${String(mix.entities).padStart(9)} ${mix.name.padEnd(42)}${`${slower}x`.padStart(9)}${percent(all).padStart(14)}` +
          `${percent(held).padStart(10)}${percent(byRequests).padStart(20)}   ${rolledBack.map((share) => percent(share)).join(', ')}`,
      )
    }
  return {
    gate_beyond_alpha: rounded(most.beyond),
    gate_rolled_back: rounded(most.rolledBack),
    latency_rolled_back: rounded(latency),
  }
}

async function lineOf(kind: MetricKind, share: number, repeats: number, peerRepeats: number, peer: Gbstats | null) {
  const at = growingLooks(100, units, looks)
  const random = createRandom(81)
  let [own, fixed, covered, gbstats, refused] = [0, 0, 0, 0, 0]
  for (let r = 0; r < repeats; r++) {
    const withPeer = peer !== null && r < peerRepeats
    const result = lookOften(kind, random, { at, share, effect: 0, alpha, tightestAt }, withPeer)
    if (result.foundAt !== null) own++
    if (result.fixedFoundAt !== null) fixed++
    refused += result.refused
    if (withPeer && (await peer.found({ kind: kind.name, tightestAt, looks: result.sums }))) gbstats++
  }
  // coverage of an effect, over fewer repeats: each runs to its end
  const withEffect = Math.ceil(repeats / 2)
  for (let r = 0; r < withEffect; r++) if (!lookOften(kind, random, { at, share, effect: 0.02, alpha, tightestAt }).missed) covered++
  return {
    name: kind.name,
    share,
    needs: at[Math.round(refused / repeats)] ?? units,
    own: own / repeats,
    gbstats: peer === null || peerRepeats === 0 ? null : gbstats / Math.min(repeats, peerRepeats),
    fixed: kind.quantile === undefined ? fixed / repeats : Number.NaN,
    coverage: covered / withEffect,
  }
}

/** The power of the sequence tuned for what a fixed horizon would need. */
function sequentialPower(repeats: number) {
  const effect = 0.1
  const fixedUnits = unitsNeeded(effect, 0.5)
  const random = createRandom(82)
  const [kind] = metricKinds as [MetricKind]
  const found = Array.from({ length: repeats }, () =>
    lookOften(kind, random, { at: growingLooks(200, 4 * fixedUnits, looks), share: 0.5, effect, alpha, tightestAt: fixedUnits }),
  ).map(({ foundAt }) => foundAt ?? Number.POSITIVE_INFINITY)
  const ascending = found.toSorted((a, b) => a - b)
  const planned = power(effect, { control: fixedUnits / 2, treatment: fixedUnits / 2 })
  return {
    fixedUnits,
    planned,
    power: found.filter((at) => at <= 2 * fixedUnits).length / repeats,
    median: ascending[Math.floor(repeats / 2)] as number,
  }
}

function banditFigures(repeats: number) {
  const random = createRandom(83)
  const [equal, better] = [
    Array.from({ length: repeats }, () => runBandit(random, [0, 0, 0], 12, 300)),
    Array.from({ length: Math.ceil(repeats / 4) }, () => runBandit(random, [0, 0.1, 0.2], 30, 300)),
  ]
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  return {
    bandit_regret_ratio: rounded(mean(better.map(({ regret }) => regret)) / (0.1 * 30 * 300)),
    bandit_coverage: rounded(mean([...equal, ...better].map(({ missed }) => (missed ? 0 : 1)))),
    bandit_bias: rounded(mean(equal.map(({ estimates }) => estimates[0]?.mean ?? Number.NaN))),
    bandit_naive_bias: rounded(mean(equal.map(({ naive }) => naive[0] ?? Number.NaN))),
  }
}

interface Gbstats {
  found(experiment: { readonly kind: string; readonly tightestAt: number; readonly looks: readonly number[][] }): Promise<boolean>
  close(): Promise<void>
}

/** GrowthBook's engine, from PyPI. It names versions of its packages that it does not need. */
async function startGbstats(): Promise<Gbstats> {
  const bin = await pythonWith('gbstats', ['numpy==2.*', 'scipy==1.17.*', 'pandas==2.*', 'pydantic==2.*', 'packaging'], ['gbstats==0.8.0'])
  const child = spawn(join(bin, 'python'), [join(import.meta.dirname, 'growthbook.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async found(experiment) {
      child.stdin.write(`${JSON.stringify(experiment)}\n`)
      const { value } = await lines.next()
      if (value !== '0' && value !== '1') throw new Error('GrowthBook gave no answer.')
      return value === '1'
    },
    async close() {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000
}
