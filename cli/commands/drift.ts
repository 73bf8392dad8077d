import { driftJson } from '../../monitoring/drift/drift-json.ts'
import type { DriftJson } from '../../monitoring/drift/drift-json.ts'
import { driftReport } from '../../monitoring/drift/drift-report.ts'
import { loggedEffects } from '../../monitoring/drift/logged-effects.ts'
import { parseBaseline } from '../../monitoring/drift/parse-baseline.ts'
import { servedFreshness } from '../../monitoring/drift/served-freshness.ts'
import { parseModelReference, pickVersion, versionReference } from '../../registry/models/pick-version.ts'
import { driftReport as driftSchema } from '../../serving/protocols/http/monitoring/drift-schemas.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { driftText } from '../text/drift-text.ts'
import { durationOption } from '../duration-option.ts'
import type { Input } from '../input.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const driftCommand: Command = {
  name: 'drift',
  summary: 'Compare served features and outputs with those of training',
  description: [
    'Shows for each feature and output how it differs from the baseline of the model version, whether the difference is more than chance, how much it changes predictions (harm), and the likely cause. Lists features by harm.',
    'The harm is measured on logged predictions of the window if there are at least 200, else on rows of the training set. Through a server, it was measured when the baseline was created.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: {
    version: { value: 'N', help: 'The version of the model. Default: the champion, or the newest version if there is none.' },
    since: { value: 'DURATION', help: 'The length of the window up to now, such as 1h or 7d. Default: 24h.' },
    baseline: {
      value: 'BASELINE',
      help: 'What to compare with: training, previous:7d, same-hour-yesterday, same-hour-last-week or dataset:ID. Default: training.',
    },
    server: serverOption,
  },
  streams: true,
  example: 'lockstep drift delay --since 24h --baseline previous:7d',
  async run(context, input) {
    const report = await readReport(context, input)
    return { json: report, text: driftText(report) }
  },
}

async function readReport(context: Context, input: Input): Promise<DriftJson> {
  const named = parseModelReference(input.argument('MODEL'))
  const since = input.text('since') ?? '24h'
  const length = durationOption('drift', 'since', since)
  const baseline = input.text('baseline') ?? 'training'
  const parsed = parseBaseline(baseline)
  const asked = input.text('version')
  const version = asked === undefined ? named.version : versionReference(asked)
  const server = serverOf(context, input)
  if (server !== null) {
    const query = queryOf({ since, baseline, version })
    return await server.ask('GET', `/v1/models/${encodeURIComponent(named.model)}/drift${query}`, undefined, driftSchema)
  }
  const [db, catalog] = [await context.database(), await context.catalog()]
  const to = Date.now() * 1000
  const window = { from: to - length, to }
  const pushed = pickVersion(catalog.model(named.model), version)
  const effects = await loggedEffects({ db, catalog, log: context.log, signal: context.signal }, pushed, window)
  const freshness = (views: ReadonlySet<string>) => servedFreshness({ db, catalog, store: () => context.store(), now: to }, views)
  const query = { model: named.model, version: pushed.version, window, baseline: parsed, effects }
  return driftJson(await driftReport({ db, catalog, freshness }, query))
}
