import { formatDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { formatShare } from '../../kernel/values/format-number.ts'
import { storedServices } from '../../registry/stored-services.ts'
import type { ParityReport } from '../../monitoring/parity/check-parity.ts'
import { checkParity } from '../../monitoring/parity/check-parity.ts'
import { countValues } from '../../monitoring/parity/classify.ts'
import { parityAnswer } from '../../serving/protocols/http/monitoring/parity-route.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { durationOption } from '../duration-option.ts'
import { count } from '../text/human.ts'
import { parityText } from '../text/parity-text.ts'
import type { Server } from '../remote/server.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

const defaultSample = 200

export const parityCommand: Command = {
  name: 'parity',
  summary: 'Recompute logged predictions from the offline history, and compare',
  description: [
    'Takes feature vectors from the prediction log (LOCKSTEP_LOG_PREDICTIONS), and recomputes the features of each as of its own moment, with the stored code. Reports for each value whether it is equal, or why it differs: another row with the same times (tie), its age (ttl), rows that were not yet in the online store (stale), rows that arrived later (late), or another cause (other). Values whose rows may have been erased since (erased) cannot be compared, and do not count.',
    'Exits with 1 if more values differ than the budget allows, or if there are no values to compare.',
  ],
  options: {
    model: { value: 'MODEL', help: 'Only predictions of this model.' },
    since: { value: 'DURATION', help: 'How far back to look, such as 30m or 7d. Default: 1h.' },
    sample: { value: 'N', help: 'The maximum number of vectors, chosen at random. Default: 200.' },
    budget: { value: 'SHARE', help: 'The share of values that may differ, such as 0.1%. Default: 0%.' },
    grace: {
      value: 'DURATION',
      help: "How long after it becomes visible a row may be missing online. Default: the view's freshness, or 10s if it declares none.",
    },
    server: serverOption,
  },
  example: 'lockstep parity --model delay --since 24h --budget 0.1%',
  async run(context, input) {
    const [since, grace] = [durationOption('parity', 'since', input.text('since') ?? '1h'), input.text('grace')]
    const sample = input.count('sample', 1) ?? defaultSample
    const budget = shareOf(input.text('budget') ?? '0%')
    const model = input.text('model')
    const graceMicros = grace === undefined ? undefined : durationOption('parity', 'grace', grace)
    const progress = context.terminal.progress('Recomputing logged predictions', 'vectors')
    const onProgress = progress.update
    const asked = { model, since, sample, graceMicros, onProgress }
    const report = await readReport(context, serverOf(context, input), asked).finally(progress.end)
    const counts = report.features.map(countValues)
    const values = counts.reduce((sum, { compared }) => sum + compared, 0)
    const differing = counts.reduce((sum, feature) => sum + feature.differing, 0)
    const within = values > 0 && differing <= values * budget
    const skipped = Object.values(report.skipped).reduce((sum, each) => sum + each, 0)
    const isPart = report.vectors + skipped >= sample
    const note = isPart
      ? [`note: "--sample ${sample}" is the limit of this check; a higher one takes more predictions, and more time.`]
      : []
    const none =
      report.features.length > 0
        ? 'There are no values to compare: rows of all their sources were erased since.'
        : skipped > 0
          ? 'There are no values to compare: every logged vector was skipped. "lockstep status" says whether sources can be read.'
          : `There are no predictions of the last ${input.text('since') ?? '1h'} to compare. LOCKSTEP_LOG_PREDICTIONS sets which are logged.`
    const share = `(${formatShare(differing / values)}, and the budget is ${formatShare(budget)})`
    return {
      json: { ...report, values, differing, budget, within },
      text: [parityText(report), ...note, values === 0 ? none : `${count(differing)} of ${count(values)} values differ ${share}.`].join(
        '\n',
      ),
      exitCode: within ? 0 : 1,
    }
  },
}

interface Asked {
  readonly model: string | undefined
  /** Microseconds. */
  readonly since: number
  readonly sample: number
  readonly graceMicros: number | undefined
  readonly onProgress: (done: number, total: number) => void
}

async function readReport(context: Context, server: Server | null, asked: Asked): Promise<ParityReport> {
  const { model, since, sample, graceMicros, onProgress } = asked
  if (server !== null) {
    const grace = graceMicros === undefined ? undefined : formatDuration(graceMicros)
    const path = `/v1/parity${queryOf({ model, since: formatDuration(since), sample, grace })}`
    const { requestId: _, ...report } = await server.ask('GET', path, undefined, parityAnswer)
    // the schema says less than what a server of the same version answers
    return report as unknown as ParityReport
  }
  if (model !== undefined) (await context.catalog()).model(model)
  const db = await context.database()
  const until = Date.now() * 1000
  return await checkParity(
    db,
    { services: (ids) => storedServices(db, ids) },
    {
      since: until - since,
      until,
      limit: sample,
      order: 'random',
      signal: context.signal,
      onProgress,
      model,
      graceMicros,
    },
  )
}

/** `0.1%`, or `0.001`. */
function shareOf(text: string): number {
  const [, number, sign] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? []
  const share = Number(number) / (sign === '%' ? 100 : 1)
  if (share >= 0 && share <= 1) return share
  throw new LockstepError(
    'USAGE',
    `The option "--budget" is "${text}"; it must be a share such as 0.1% or 0.001. See "lockstep parity --help".`,
  )
}
