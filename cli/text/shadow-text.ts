import type { Figure } from '../../monitoring/quality/figure.ts'
import type { ComparedOutput, ShadowExample } from '../../monitoring/shadow/compare-pairs.ts'
import type { ShadowComparison, ShadowReport } from '../../monitoring/shadow/shadow-report.ts'
import type { ShadowTraffic, StageTimes } from '../../monitoring/shadow/shadow-traffic.ts'
import type { ShadowChange } from '../../registry/rollouts/change-shadow.ts'
import type { Shadow } from '../../registry/rollouts/shadow.ts'
import { count, counted, digits, intervalText, moment } from './human.ts'
import { shareText, unitText } from './rollout-text.ts'
import { table } from './table.ts'

/** A shadow in the registry, or as a server answers it. */
type ShownShadow = Omit<Shadow, 'startedAt' | 'endedAt'> & { readonly startedAt: Date | string; readonly endedAt: Date | string | null }

export function shadowChangeText({
  shadow: { model, version, state, share, unit },
  servers,
}: Pick<ShadowChange, 'servers'> & { readonly shadow: ShownShadow }): string {
  if (state === 'stopped') return `The shadow ${model}@${version} has stopped.`
  const slow = servers !== undefined && servers.loaded < servers.asked
  return [
    `${model}@${version} also runs ${shareText(share)} of the requests without a version, ${unitText(unit)}. Compare: lockstep shadow show ${model}`,
    ...(slow ? [`${servers.loaded} of ${servers.asked} servers had loaded it; the others load it now.`] : []),
  ].join('\n')
}

export function shadowReportText({ model, shadow, comparison }: ShadowReport): string {
  if (shadow === null || comparison === null) return `The model ${model} has had no shadow.`
  const { version, state, share, unit, salt, tolerance, startedBy, startedAt, endedAt } = shadow
  return [
    `candidate  ${model}@${version}`,
    `state      ${state}${endedAt === null ? '' : ` at ${moment(new Date(endedAt))} UTC`}`,
    `share      ${shareText(share)}, ${unitText(unit)}`,
    `salt       ${salt}`,
    `started    ${moment(new Date(startedAt))} UTC by ${startedBy}`,
    `compared   ${counted(comparison.pairs, 'row')} of ${count(comparison.logged)} that are logged${comparison.entities === null ? '' : `, of ${count(comparison.entities)} ${comparison.entities === 1 ? 'entity' : 'entities'}`}`,
    ...outputsText(comparison.outputs, tolerance),
    ...featuresText(comparison),
    ...trafficText(comparison.traffic),
    ...examplesText(comparison.examples, comparison.output),
    ...comparison.notes.flatMap((note) => ['', `note: ${note}`]),
  ].join('\n')
}

function outputsText(outputs: readonly ComparedOutput[], tolerance: number): string[] {
  if (outputs.length === 0) return []
  const lines = outputs.flatMap(({ output, kind, n, notComparable, mean, quantiles, beyond, flips }) => [
    ...(kind === 'number' ? [figureLine(output, 'mean difference', mean)] : []),
    ...quantiles.map(({ quantile, value, low, high }) => [
      output,
      `difference, ${shareText(quantile)} are at most`,
      digits(value),
      intervalText(low, high),
      count(n),
    ]),
    figureLine(output, kind === 'category' ? 'share that differs' : `share beyond ${tolerance}`, beyond),
    ...(flips === null || kind === 'category'
      ? []
      : [figureLine(output, `share decided otherwise${flips.threshold === null ? '' : ` at ${flips.threshold}`}`, flips)]),
    ...(notComparable === 0 ? [] : [[output, 'not comparable: NaN or an infinity', count(notComparable), '', '']]),
  ])
  return ['', table(['OUTPUT', 'FIGURE', 'VALUE', '95 % INTERVAL', 'ROWS'], lines)]
}

function figureLine(output: string, name: string, { value, low, high, n, reason }: Figure): string[] {
  return [output, name, value === null ? `- (${reason})` : digits(value), intervalText(low, high), count(n)]
}

function featuresText({ output, features, changedFeatures }: ShadowComparison): string[] {
  const ranked = features.map(({ feature, explained, n, most }) => [
    feature,
    shareText(Number(explained.toPrecision(2))),
    most === null ? '' : most.bin,
    most === null ? '' : `${digits(most.mean)} (${intervalText(most.low, most.high)}, ${counted(most.n, 'row')})`,
    count(n),
  ])
  const changed = changedFeatures.map(({ feature, share, n }) => [feature, shareText(Number(share.toPrecision(3))), count(n)])
  return [
    ...(ranked.length === 0
      ? []
      : ['', `where "${output}" differs:`, table(['FEATURE', 'EXPLAINS', 'MOST AT', 'MEAN DIFFERENCE THERE', 'ROWS'], ranked)]),
    ...(changed.length === 0
      ? []
      : ['', 'features with other values for the candidate:', table(['FEATURE', 'DIFFERS IN', 'ROWS'], changed)]),
  ]
}

function trafficText(traffic: ShadowTraffic | null): string[] {
  if (traffic === null) return []
  const { shadow, answered, dropped, errors } = traffic
  const lines = [shadow, ...answered].map(({ version, role, requests, rows, features, run }) => [
    `@${version}`,
    role,
    count(requests),
    count(rows),
    stageText(features),
    stageText(run),
  ])
  const failed = Object.entries(errors).map(([code, n]) => `${code} ${count(n)}`)
  return [
    '',
    table(['VERSION', 'ROLE', 'REQUESTS', 'ROWS', 'FEATURES p50/p99', 'RUN p50/p99'], lines),
    `dropped: ${counted(dropped, 'request')} for which servers had no time; failed: ${failed.length === 0 ? 'none' : failed.join(', ')}`,
  ]
}

function stageText({ p50, p99 }: StageTimes): string {
  return p50 === null || p99 === null ? '-' : `${digits(p50)} / ${digits(p99)} ms`
}

function examplesText(examples: readonly ShadowExample[], output: string | null): string[] {
  const [first] = examples
  if (first === undefined) return []
  const lines = examples.map(({ predictionId, answeredVersion, answered, candidate, difference }) => [
    predictionId,
    difference === null ? 'not comparable' : digits(difference),
    `@${answeredVersion}: ${shortJson(answered)}`,
    shortJson(candidate),
  ])
  return [
    '',
    `greatest differences of "${output}":`,
    table(['PREDICTION', 'DIFFERENCE', 'ANSWERED', 'CANDIDATE'], lines),
    `look at one: lockstep predictions list --prediction ${first.predictionId} --since 30d --json`,
    `why its features have their values: lockstep explain ${first.predictionId}`,
  ]
}

function shortJson(value: unknown): string {
  const text = JSON.stringify(value) ?? ''
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
