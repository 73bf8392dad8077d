import { setTimeout as sleep } from 'node:timers/promises'
import type { Outcome } from '../../cli/command.ts'
import type { Context } from '../../cli/context.ts'
import { count } from '../../cli/text/human.ts'
import { prepare } from '../../cli/run.ts'
import type { ExperimentReport } from '../../monitoring/experiments/experiment-report.ts'
import type { ShadowReport } from '../../monitoring/shadow/shadow-report.ts'
import type { ShownHistory } from '../../cli/text/rollout-text.ts'
import { evaluate, juneSpine } from './evaluate.ts'
import type { Replay, Tally } from './replay.ts'
import { createReplay } from './replay.ts'
import type { Steps } from './steps.ts'

/** How many steps `changeModels` adds to the demo. */
export const changeSteps = 4

/** So many answers are compared, if the flights of so many hours suffice. */
const [shadowed, maxShadowHours] = [200, 24]
const experimentHours = 24
/** The `within` of the metric and that of its outcome in experiment.ts. */
const windowMs = 11_000
/** The data have so many hours for each rollout. */
const maxRolloutHours = 70
/** From this probability on, passengers are warned. */
const warnFrom = 0.33
/** Minutes. */
const [falseWarning, lateUnwarned] = [15, 30]

/**
 * Tries two new versions of the model on replayed flights: one that is better, and one that fails.
 *
 * @param from the moment of the online views, epoch milliseconds; the replay goes on from there
 * @returns the replay, which can go on
 */
export async function changeModels(
  context: Context,
  steps: Steps,
  { url, from, here }: { readonly url: string; readonly from: number; readonly here: (name: string) => string },
): Promise<Replay> {
  const { step, lockstep, say } = steps
  const quietly = async (...words: string[]): Promise<Outcome> => await (await prepare(words))(context)
  const db = await context.database()
  const replay = createReplay({
    db,
    url,
    from,
    judge: minutesLost,
    async materialize(to) {
      await quietly('materialize', '--to', to)
    },
  })

  let better = false

  await step('Run a second version in shadow', async () => {
    await lockstep('model', 'promote', 'delay@1', '--reason', 'it answers until a better one is known')
    await lockstep('model', 'push', 'delay', here('delay-2.onnx'))
    say(`AUC on June: ${(await evaluate(context, await juneSpine(db), 2)).auc.toFixed(4)}. That of version 1 stands above.`)
    await lockstep('apply', here('experiment.ts'))
    await lockstep('shadow', 'start', 'delay@2', '--share', '100%', '--unit', 'request-id', '--reason', 'is it calmer?')
    say('The clock of the data moves on hour by hour. Each flight is asked about before it departs, and reported when it has landed.')
    const shadow = async (): Promise<ShadowReport> => (await quietly('shadow', 'show', 'delay')).json as ShadowReport
    const tallies: Tally[] = []
    for (let pairs = 0; pairs < shadowed && tallies.length < maxShadowHours;) {
      tallies.push(await replay.hour({ calmly: true }))
      pairs = (await shadow()).comparison?.pairs ?? 0
    }
    say(`Replayed ${talliesText(added(tallies), replay)}`)
    const { comparison } = (await lockstep('shadow', 'show', 'delay')).json as ShadowReport
    const [output] = comparison?.outputs ?? []
    if (output === undefined) throw new Error('The server had no time for the shadow. Run the demo on a machine that does less else.')
    say(
      `Of ${count(output.n)} answers, ${percent(output.beyond.value)} differ by more than 0.01; on average by ${fixed(output.mean?.value)}. Nobody got an answer of version 2.`,
    )
    await lockstep('shadow', 'stop', 'delay')
  })

  await step('Roll out a broken version', async () => {
    await lockstep('model', 'push', 'delay', here('delay-broken.onnx'))
    await lockstep('rollout', 'start', 'delay@3', '--plan', here('rollout-plan.ts'), '--unit', 'request-id', '--reason', 'a smaller model')
    const { seconds, tally } = await rollOut(replay, quietly, 'rolled back')
    say(`Replayed ${talliesText(tally, replay)}`)
    await lockstep('rollout', 'show', 'delay')
    say(`It fails on flights of 500 miles and more. No request failed, and it was rolled back after ${seconds} s.`)
  })

  await step('Compare the second version in an experiment', async () => {
    await lockstep('experiment', 'start', 'second_model', '--reason', 'fewer minutes lost')
    const tally = await hours(replay, experimentHours)
    const lastExposure = Date.now()
    say(`Replayed ${talliesText(tally, replay)}`)
    while (replay.inTheAir() > 0) await replay.hour({ ask: false })
    say(`Reported the landings of all flights, ${count(replay.landed())} by now. A flight counts 11 s after it was asked about.`)
    await sleep(Math.max(0, lastExposure + windowMs - Date.now()), undefined, { signal: context.signal })
    const { json } = await lockstep('experiment', 'show', 'second_model', '--analyze')
    const report = json as ExperimentReport
    say(foundText(report))
    const [variant, reason] = isWorse(report)
      ? ['control', 'version 2 loses more minutes']
      : ['treatment', 'its AUC on June is higher, and it is not found to be worse']
    better = variant === 'treatment'
    await lockstep('experiment', 'decide', 'second_model', '--variant', variant, '--reason', reason)
  })

  await step('Roll out the second version', async () => {
    if (!better) {
      say('The experiment has decided against version 2, so version 1 stays the champion.')
      return
    }
    await lockstep('rollout', 'start', 'delay@2', '--plan', here('rollout-plan.ts'), '--unit', 'request-id', '--reason', 'the experiment')
    const { seconds, tally } = await rollOut(replay, quietly, 'promoted')
    say(`Replayed ${talliesText(tally, replay)}`)
    await lockstep('rollout', 'show', 'delay')
    say(`Version 2 is the champion after ${seconds} s.`)
  })
  return replay
}

/** What passengers lose: time for a false warning, or more for a delay without one. */
export function minutesLost(probability: number, delay: number): number {
  const [warned, late] = [probability >= warnFrom, delay > 15]
  if (warned) return late ? 0 : falseWarning
  return late ? lateUnwarned : 0
}

async function hours(replay: Replay, number: number): Promise<Tally> {
  const tallies: Tally[] = []
  for (let i = 0; i < number; i++) tallies.push(await replay.hour())
  return added(tallies)
}

/** Replays until the running rollout has ended. @throws Error if it has not ended as expected */
async function rollOut(
  replay: Replay,
  quietly: (...words: string[]) => Promise<Outcome>,
  expected: string,
): Promise<{ readonly tally: Tally; readonly seconds: string }> {
  const started = performance.now()
  const tallies: Tally[] = []
  for (let i = 0; ; i++) {
    const { rollout } = (await quietly('rollout', 'show', 'delay')).json as ShownHistory
    if (rollout?.state === expected) break
    if (rollout?.state !== 'running') throw new Error(`The rollout was ${rollout?.state}, and not ${expected}.`)
    if (i >= maxRolloutHours) throw new Error(`The rollout still runs after ${maxRolloutHours} hours of flights.`)
    tallies.push(await replay.hour())
  }
  return { tally: added(tallies), seconds: ((performance.now() - started) / 1000).toFixed(1) }
}

function isWorse({ result }: ExperimentReport): boolean {
  const comparison = result?.metrics[0]?.comparisons[0]
  return comparison?.significant === true && (comparison.difference?.value ?? 0) > 0
}

function added(tallies: readonly Tally[]): Tally {
  const by = new Map<string, number>()
  for (const each of tallies) for (const [key, n] of each.by) by.set(key, (by.get(key) ?? 0) + n)
  const sum = (of: (tally: Tally) => number): number => tallies.reduce((total, tally) => total + of(tally), 0)
  return { flights: sum(({ flights }) => flights), by, bypassed: sum(({ bypassed }) => bypassed) }
}

function talliesText({ flights, by, bypassed }: Tally, replay: Replay): string {
  const answers = [...by].map(([key, n]) => `${count(n)} by version ${key.replace(' ', ' as ')}`).join(', ')
  const instead = bypassed === 0 ? '' : `, ${count(bypassed)} of them in place of a candidate that failed`
  return `${count(flights)} flights until ${new Date(replay.now()).toISOString()}: answered ${answers}${instead}.`
}

function foundText({ result }: ExperimentReport): string {
  const [metric] = result?.metrics ?? []
  const [comparison] = metric?.comparisons ?? []
  if (metric === undefined || comparison === undefined) return 'The experiment has no result yet.'
  const arms = metric.arms.map(({ variant, units, value }) => `${variant} ${fixed(value)} (${count(units)} flights)`).join(', ')
  const { waitsFor, difference, significant } = comparison
  if (waitsFor !== null)
    return `Minutes lost by flight: ${arms}. ${count(waitsFor.units)} of ${count(waitsFor.needed)} flights are too few to say more.`
  if (difference === null) return `Minutes lost by flight: ${arms}.`
  const between = `The difference is between ${fixed(difference.low)} and ${fixed(difference.high)} minutes`
  return significant
    ? `Minutes lost by flight: ${arms}. ${between}: it is real.`
    : `Minutes lost by flight: ${arms}. ${between}, so these flights do not tell which version is better.`
}

function percent(share: number | null | undefined): string {
  return share === null || share === undefined ? '?' : `${(share * 100).toFixed(1)} %`
}

function fixed(value: number | null | undefined): string {
  return value === null || value === undefined ? '?' : value.toFixed(2)
}
