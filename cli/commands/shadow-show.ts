import { shadowReport } from '../../monitoring/shadow/shadow-report.ts'
import { shadowReportAnswer } from '../../serving/protocols/http/rollouts/shadow-schemas.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { shadowReportText } from '../text/shadow-text.ts'

export const shadowShowCommand: Command = {
  name: 'shadow show',
  summary: 'Compare the shadow of a model with the answers',
  description: [
    'Compares rows of the prediction log (LOCKSTEP_LOG_PREDICTIONS): how far outputs differ, which decisions change, which features explain the differences, and the greatest differences. Shows the running shadow, or the last one.',
  ],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { server: serverOption },
  example: 'lockstep shadow show delay',
  async run(context, input) {
    const [name, server] = [input.argument('NAME'), serverOf(context, input)]
    const report =
      server === null
        ? await shadowReport(await context.database(), await context.catalog(), { model: name, now: Date.now() * 1000 })
        : await server.ask('GET', `/v1/models/${encodeURIComponent(name)}/shadow`, undefined, shadowReportAnswer)
    return { json: report, text: shadowReportText(report) }
  },
}
