import { loggedEffects } from '../../monitoring/drift/logged-effects.ts'
import { parseBaseline } from '../../monitoring/drift/parse-baseline.ts'
import type { ModelReport } from '../../monitoring/report/model-report.ts'
import { modelReport } from '../../monitoring/report/model-report.ts'
import { reportHtml } from '../../monitoring/report/report-html.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { reportAnswer } from '../../serving/protocols/http/monitoring/report-route.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import type { Input } from '../input.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { durationOption } from '../duration-option.ts'
import { bytes } from '../text/human.ts'
import { reportText } from '../text/report-text.ts'
import { writeOutput } from '../write-output.ts'

export const reportCommand: Command = {
  name: 'report',
  summary: 'Write an HTML report about a model: traffic, quality, drift, missing features, freshness',
  description: [
    'Writes one HTML file that loads nothing from the network. The file has the figures and plots of the window, in light, dark and print colors.',
    'With --json it prints every figure, and writes a file only if --out names one.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model.' }],
  options: {
    since: { value: 'DURATION', help: 'The length of the window up to now, such as 24h or 30d. Default: 7d.' },
    out: { value: 'FILE', help: 'The file to write. Default: MODEL-report.html.' },
    baseline: {
      value: 'BASELINE',
      help: 'What drift is compared with: training, previous:7d, same-hour-yesterday, same-hour-last-week or dataset:ID. Default: training.',
    },
    overwrite: { help: 'Replace an existing file.' },
    server: serverOption,
  },
  streams: true,
  example: 'lockstep report delay --since 7d --out report.html',
  async run(context, input) {
    const model = input.argument('MODEL')
    const out = input.text('out') ?? (context.terminal.json ? null : `${model}-report.html`)
    const overwrite = input.flag('overwrite')
    if (out !== null && !overwrite) await refuseExisting([out])
    const report = await readReport(context, input, model)
    const size = out === null ? null : await writeOutput(out, Buffer.from(reportHtml(report)), overwrite)
    return {
      json: { ...report, path: out },
      text: [reportText(report), ...(size === null ? [] : ['', `Wrote ${out} (${bytes(size)}). Open it in a browser.`])].join('\n'),
    }
  },
}

async function readReport(context: Context, input: Input, model: string): Promise<ModelReport> {
  const [since, baseline] = [input.text('since') ?? '7d', input.text('baseline') ?? 'training']
  const sinceMicros = durationOption('report', 'since', since)
  const parsed = parseBaseline(baseline)
  const server = serverOf(context, input)
  if (server !== null) {
    const path = `/v1/models/${encodeURIComponent(model)}/report${queryOf({ since, baseline })}`
    const { requestId: _, ...report } = await server.ask('GET', path, undefined, reportAnswer)
    // the schema says less than what a server of the same version answers
    return report as unknown as ModelReport
  }
  const [db, catalog] = [await context.database(), await context.catalog()]
  const tools = { db, catalog, log: context.log, signal: context.signal }
  const to = Date.now() * 1000
  const progress = context.terminal.progress(`Reporting on ${model}`, 'parts')
  let parts = 0
  try {
    return await modelReport(
      { db, catalog, store: () => context.store(), effects: (version, window) => loggedEffects(tools, version, window) },
      { model, from: to - sinceMicros, to, baseline: parsed, signal: context.signal, onPart: () => progress.update(parts++, 4) },
    )
  } finally {
    progress.end()
  }
}
