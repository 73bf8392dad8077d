import { LockstepError } from '../../kernel/errors.ts'
import type { ModelStatistics } from '../../monitoring/rollups/model-statistics.ts'
import { modelStatistics } from '../../monitoring/rollups/model-statistics.ts'
import { parseModelReference, pickVersion } from '../../registry/models/pick-version.ts'
import { statisticsFields } from '../../serving/protocols/http/monitoring/statistics-schemas.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { durationOption } from '../duration-option.ts'
import type { Input } from '../input.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { statisticsText } from '../text/model-statistics-text.ts'

const steps = ['minute', 'hour', 'day'] as const
const groupings = ['version', 'role', 'version,role'] as const

export const statsCommand: Command = {
  name: 'stats',
  summary: 'Show what servers answered for a model: requests, errors, times and values',
  description: [
    'Servers summarize what they answer each minute, unless LOCKSTEP_ROLLUPS is off. Requests, rows, errors, times and statuses cover all requests; values cover the rows that "sampled" counts.',
    'With --step, shows a line for each period. A period without a measured server is a gap, not a zero.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: {
    since: { value: 'DURATION', help: 'How far back to look, such as 30m or 7d. Default: 1h.' },
    by: {
      value: 'WHAT',
      choices: groupings,
      help: 'Splits the figures by version, role, or both. Default: version,role; with --step, all together.',
    },
    step: { value: 'STEP', choices: steps, help: 'Shows a line for each minute, hour or day.' },
    server: serverOption,
  },
  example: 'lockstep stats delay --since 1h',
  async run(context, input) {
    const step = input.choice('step', steps)
    const by = input.choice('by', groupings)
    if (step !== undefined && by === 'version,role')
      throw new LockstepError(
        'USAGE',
        'With "--step", the figures can be split by version or by role only. Use "--by version" or "--by role".',
      )
    const statistics = await readStatistics(context, input, step, by)
    return { json: statistics, text: statisticsText(statistics, step !== undefined) }
  },
}

async function readStatistics(
  context: Context,
  input: Input,
  step: (typeof steps)[number] | undefined,
  by: (typeof groupings)[number] | undefined,
): Promise<ModelStatistics> {
  const since = input.text('since') ?? '1h'
  const sinceMicros = durationOption('stats', 'since', since)
  const { model: name, version: wanted } = parseModelReference(input.argument('MODEL'))
  const grouping = by ?? (step === undefined ? 'version,role' : '')
  const server = serverOf(context, input)
  if (server !== null) {
    if (typeof wanted === 'string') throw new LockstepError('USAGE', `With "--server", name the version "${name}@${wanted}" by its number.`)
    const query = queryOf({ since, by: grouping, step, version: wanted })
    return await server.ask('GET', `/v1/models/${encodeURIComponent(name)}/statistics${query}`, undefined, statisticsFields)
  }
  const model = (await context.catalog()).model(name)
  const now = Date.now() * 1000
  return await modelStatistics(await context.database(), {
    model: model.name,
    from: now - sinceMicros,
    to: now,
    by: grouping.split(',').filter((part) => part === 'version' || part === 'role'),
    versions: wanted === undefined ? undefined : [pickVersion(model, wanted).version],
    step,
  })
}
