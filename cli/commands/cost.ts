import { LockstepError } from '../../kernel/errors.ts'
import type { CostReport } from '../../monitoring/cost/cost-report.ts'
import { costReport } from '../../monitoring/cost/cost-report.ts'
import { costFields } from '../../serving/protocols/http/monitoring/cost-route.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import type { Prices } from '../text/cost-text.ts'
import { costText, monthlyCosts } from '../text/cost-text.ts'
import { durationOption } from '../duration-option.ts'
import type { Input } from '../input.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const costCommand: Command = {
  name: 'cost',
  summary: 'Show what models, views and tables cost, and what nothing uses',
  description: [
    'Processor time is that of the server processes. The part of a model is an estimate: the time of its requests, without waiting. Sizes are the present ones; those of a large online store are estimated from a sample of its keys.',
    'With prices, shows the cost of each in 30 days, at the traffic of the measured minutes.',
  ],
  options: {
    since: { value: 'DURATION', help: 'How far back requests are counted, such as 1d or 30d. Default: 7d.' },
    'cpu-hour': { value: 'PRICE', help: 'The price of an hour of one core of a server.' },
    'memory-gb-month': { value: 'PRICE', help: 'The price of a GB of the online store in a month, with its replicas.' },
    'disk-gb-month': { value: 'PRICE', help: 'The price of a GB of the database in a month, with its replicas.' },
    server: serverOption,
  },
  example: 'lockstep cost --since 30d --cpu-hour 0.04 --memory-gb-month 5',
  async run(context, input) {
    const prices = { cpuHour: price(input, 'cpu-hour'), memory: price(input, 'memory-gb-month'), disk: price(input, 'disk-gb-month') }
    const report = await readReport(context, input)
    return { json: { ...report, monthly: monthlyCosts(report, prices) }, text: costText(report, prices) }
  },
}

function price(input: Input, option: string): Prices[keyof Prices] {
  const text = input.text(option)
  if (text === undefined) return null
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value
  throw new LockstepError('USAGE', `The option "--${option}" is "${text}": it must be a price, such as 0.04, without a currency.`)
}

async function readReport(context: Context, input: Input): Promise<CostReport> {
  const since = input.text('since') ?? '7d'
  const length = durationOption('cost', 'since', since)
  const server = serverOf(context, input)
  if (server !== null) return await server.ask('GET', `/v1/cost${queryOf({ since })}`, undefined, costFields)
  const to = Date.now() * 1000
  const sources = { db: await context.database(), catalog: await context.catalog(), store: () => context.store() }
  return await costReport(sources, { from: to - length, to })
}
