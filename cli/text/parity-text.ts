import type { Difference, ParityReport, ShownAnswer, SkipCause } from '../../monitoring/parity/check-parity.ts'
import { verdicts } from '../../monitoring/parity/classify.ts'
import { counted } from './human.ts'
import { table } from './table.ts'

const skippedText: Readonly<Record<keyof ParityReport['skipped'], string>> = {
  definitions: 'whose feature service is not in the registry or has changed',
  degraded: 'answered with defaults because the online store was down',
  unreadable: 'that cannot be read or recomputed',
}

const maxExamples = 10

type ShownReport = Omit<ParityReport, 'skippedBecause'> & Partial<Pick<ParityReport, 'skippedBecause'>>

/** The report as a table by feature, with examples of differences. An older server does not say why it skipped. */
export function parityText({ vectors, skipped, skippedBecause = [], features, examples }: ShownReport): string {
  const shown = examples.slice(0, maxExamples)
  const erased = features.reduce((sum, feature) => sum + feature.erased, 0)
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
    `Recomputed ${counted(vectors, 'logged vector')}.`,
    ...(erased === 0 ? [] : [`note: ${counted(erased, 'value')} not compared, because rows of their sources were erased since`]),
    ...Object.entries(skipped).flatMap(([why, count]) =>
      count === 0
        ? []
        : [
            `note: skipped ${counted(count, 'vector')} ${skippedText[why as keyof typeof skippedText]}`,
            ...skippedBecause.filter(({ reason }) => reason === why && reason !== 'degraded').map((each) => `  ${causeText(each)}`),
          ],
    ),
  ].join('\n')
}

function causeText({ service, vectors, cause }: SkipCause): string {
  return `${counted(vectors, 'vector')} of ${service}: ${cause}`
}

function exampleText(example: Difference): string {
  const { verdict, feature, keys, asOf, logged, history, model, version, requestId, entity } = example
  const historyText = history === null ? "the service's code fails on the history" : `the history says ${answerText(history)}`
  return `  ${verdict}: ${feature} of ${JSON.stringify(keys)} as of ${asOf}: ${answerText(logged)} was served, ${historyText} (${model}@${version}, request ${requestId}, entity ${entity})`
}

function answerText({ value, status }: ShownAnswer): string {
  const text = JSON.stringify(value)
  return status === 'PRESENT' ? text : `${text} ${status}`
}
