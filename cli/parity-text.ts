import type { Difference, ParityReport, ShownSide } from '../monitoring/parity/check-parity.ts'
import { verdicts } from '../monitoring/parity/classify.ts'
import { counted } from './human.ts'
import { table } from './table.ts'

const skippedText: Readonly<Record<keyof ParityReport['skipped'], string>> = {
  definitions: 'whose feature service is not in the registry as it was',
  degraded: 'answered with defaults, as the online store was away',
  unreadable: 'that cannot be read or made again',
}

const maxExamples = 10

/** The report as a table by feature, with examples of what differs. */
export function parityText({ vectors, skipped, features, examples }: ParityReport): string {
  const shown = examples.slice(0, maxExamples)
  return [
    ...(features.length === 0
      ? []
      : [
          table(
            ['SERVICE', 'FEATURE', ...verdicts.map((verdict) => verdict.toUpperCase())],
            features.map((feature) => [feature.service, feature.feature, ...verdicts.map((verdict) => `${feature[verdict]}`)]),
          ),
        ]),
    ...(shown.length === 0 ? [] : ['', 'For example:', ...shown.map(exampleText)]),
    ...(examples.length > shown.length ? [`  and ${counted(examples.length - shown.length, 'more kind')} of difference (--json)`] : []),
    ...(features.length === 0 ? [] : ['']),
    `Made ${counted(vectors, 'logged vector')} again.`,
    ...Object.entries(skipped).flatMap(([why, count]) =>
      count === 0 ? [] : [`note: left out ${counted(count, 'vector')} ${skippedText[why as keyof typeof skippedText]}`],
    ),
  ].join('\n')
}

function exampleText(example: Difference): string {
  const { verdict, feature, keys, asOf, logged, history, model, version, requestId, entity } = example
  const said = history === null ? "the service's code fails on the history" : `the history says ${sideText(history)}`
  return `  ${verdict}: ${feature} of ${JSON.stringify(keys)} as of ${asOf}: ${sideText(logged)} was served, ${said} (${model}@${version}, request ${requestId}, entity ${entity})`
}

function sideText({ value, status }: ShownSide): string {
  const text = JSON.stringify(value)
  return status === 'PRESENT' ? text : `${text} ${status}`
}
