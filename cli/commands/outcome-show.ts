import { formatShare } from '../../kernel/values/format-number.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { OutcomeReport, ReportWindow } from '../../monitoring/outcomes/outcome-report.ts'
import { outcomeReport } from '../../monitoring/outcomes/outcome-report.ts'
import { loggedShare } from '../../runtime/settings/log-shares.ts'
import { outcomeReportAnswer } from '../../serving/protocols/http/monitoring/outcomes-route.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { durationOption } from '../duration-option.ts'
import { count } from '../text/human.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const outcomeShowCommand: Command = {
  name: 'outcome show',
  summary: 'Count the logged predictions that have an outcome, lack one, or are not mature',
  description: [
    'A prediction is mature once "within" has passed since its moment. Figures of quality count only mature predictions.',
    'A late outcome happened after "within". It is stored, but figures leave it out.',
  ],
  arguments: [{ name: 'NAME', help: 'The outcome, as "outcome list" shows it.' }],
  options: {
    since: { value: 'DURATION', help: 'How far back to look for predictions, such as 12h or 30d. Default: 7d.' },
    'as-of': { value: 'TIME', help: 'Count outcomes that were known at this time, RFC 3339. Default: now.' },
    server: serverOption,
  },
  example: 'lockstep outcome show chargeback --since 90d',
  async run(context, input) {
    const name = input.argument('NAME')
    const given = input.text('as-of')
    const asOf = given === undefined ? Date.now() * 1000 : parseTimestamp(given)
    const window = { from: asOf - durationOption('outcome show', 'since', input.text('since') ?? '7d'), to: asOf, asOf }
    const server = serverOf(context, input)
    const report = server === null ? await reportHere(context, name, window) : await reportThere(server, name, window)
    return { json: report, text: reportText(report, server === null) }
  },
}

async function reportHere(context: Context, name: string, window: ReportWindow): Promise<OutcomeReport> {
  const plan = (await context.catalog()).outcome(name)
  return await outcomeReport(await context.database(), plan, window, loggedShare(context.config.logShares, plan.spec.model))
}

async function reportThere(server: Server, name: string, { from, to, asOf }: ReportWindow): Promise<OutcomeReport> {
  const path = `/v1/outcomes/${encodeURIComponent(name)}/counts?from=${from}&to=${to}&asOf=${asOf}`
  const { requestId: _, ...report } = await server.ask('GET', path, undefined, outcomeReportAnswer)
  return report
}

function reportText(report: OutcomeReport, isHere: boolean): string {
  const { predictions, mature, immature, matched, missing, late, logShare } = { ...report.counts, logShare: report.logShare }
  const instead = report.missing === 'exclude' ? 'left out of figures' : `count as ${JSON.stringify(report.missing)}`
  const lines: readonly (readonly [string, string])[] = [
    ['outcome', `${report.outcome} of model ${report.model}, ${report.output === null ? 'judges no output' : `output ${report.output}`}`],
    ['rows', `source ${report.source}: ${report.match}`],
    ['within', report.within],
    ['predictions', `${count(predictions)} logged from ${report.from} to ${report.to}, as of ${report.asOf}`],
    ['mature', count(mature)],
    ['  matched', count(matched)],
    ['  missing', `${count(missing)}, ${instead}${late === null ? '' : `; of these ${count(late)} with a late outcome`}`],
    ['immature', count(immature)],
    ['logged', `${formatShare(logShare)} of predictions, ${isHere ? 'by LOCKSTEP_LOG_PREDICTIONS of this process' : 'by the server'}`],
  ]
  return lines.map(([name, text]) => `${name.padEnd(13)}${text}`).join('\n')
}
