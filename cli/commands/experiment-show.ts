import { setTimeout as sleep } from 'node:timers/promises'
import { LockstepError } from '../../kernel/errors.ts'
import { analyzeRun, requireRun } from '../../monitoring/experiments/analyze-run.ts'
import type { ExperimentReport } from '../../monitoring/experiments/experiment-report.ts'
import { experimentReport } from '../../monitoring/experiments/experiment-report.ts'
import { experimentResultsAnswer } from '../../serving/protocols/http/experiments/experiment-result-schemas.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { experimentText } from '../text/experiment-text.ts'
import type { Input } from '../input.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

const lookMs = 2000

export const experimentShowCommand: Command = {
  name: 'experiment show',
  summary: 'Show the results of an experiment, and whether they can be trusted',
  description: [
    'Shows the newest analysis of the running run, or of the last one. A worker analyzes each experiment once an hour.',
    'A unit counts once the window of a metric has passed since its first exposure. The output says when the next unit will count, and when all units exposed so far will. Sequential intervals hold at every look.',
    'With --watch it follows the experiment until it is stopped. On a terminal it redraws; elsewhere it prints each new analysis.',
  ],
  arguments: [{ name: 'NAME', help: 'The experiment.' }],
  options: {
    analyze: { help: 'Analyze it first, as of now, and store the result. Needs the database: not with --server.' },
    watch: { help: 'Follow the experiment until it is stopped.' },
    server: serverOption,
  },
  streams: true,
  example: 'lockstep experiment show offers',
  async run(context, input) {
    const name = input.argument('NAME')
    if (input.flag('analyze')) await analyze(context, input, name)
    const read = await readerOf(context, input, name)
    const report = input.flag('watch') ? await watch(context, read) : await read()
    return { json: report, text: experimentText(report) }
  },
}

async function analyze(context: Context, input: Input, name: string): Promise<void> {
  if (serverOf(context, input) !== null)
    throw new LockstepError(
      'USAGE',
      'A server analyzes no experiment on request: workers do it once an hour. Leave out --analyze; or leave out --server and unset LOCKSTEP_SERVER, to analyze with the database (stop an embedded server first).',
    )
  const db = await context.database()
  const run = await requireRun(db, name)
  const progress = context.terminal.progress(`Analyzing ${name}`, 'lookups')
  try {
    await analyzeRun(db, await context.catalog(), run, Date.now() * 1000, {
      signal: context.signal,
      onUnits: (done, total) => progress.update(done, total),
    })
  } finally {
    progress.end()
  }
}

async function readerOf(context: Context, input: Input, name: string): Promise<() => Promise<ExperimentReport>> {
  const server = serverOf(context, input)
  if (server !== null) {
    return async () => await server.ask('GET', `/v1/experiments/${encodeURIComponent(name)}/results`, undefined, experimentResultsAnswer)
  }
  const db = await context.database()
  return async () => await experimentReport(db, name)
}

async function watch({ terminal, signal }: Context, read: () => Promise<ExperimentReport>): Promise<ExperimentReport> {
  let shown = ''
  for (;;) {
    const report = await read()
    if (report.state !== 'running' || signal.aborted) return report
    const text = experimentText(report)
    if (terminal.width !== null && !terminal.json) terminal.print(`\u001B[2J\u001B[H${text}`)
    else if (!terminal.json && text !== shown) terminal.print(text)
    shown = text
    await sleep(lookMs, undefined, { signal }).catch(() => undefined)
  }
}
