import { setTimeout as sleep } from 'node:timers/promises'
import { readRolloutHistory } from '../../registry/rollouts/rollout-history.ts'
import { answeringVersion } from '../../registry/models/pick-version.ts'
import { catalogRevision } from '../../registry/revision.ts'
import { rolloutAnswer } from '../../serving/protocols/http/rollouts/rollout-answers.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import type { Input } from '../input.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import type { ShownHistory } from '../text/rollout-text.ts'
import { decisionText, rolloutText } from '../text/rollout-text.ts'

const lookMs = 1000

export const rolloutShowCommand: Command = {
  name: 'rollout show',
  summary: 'Show the running rollout of a model, or its last one, with its decisions',
  description: [
    'With --watch it follows the rollout until it ends. On a terminal it redraws; elsewhere it prints a line for each decision.',
  ],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { watch: { help: 'Follow the rollout until it ends.' }, server: serverOption },
  streams: true,
  example: 'lockstep rollout show delay --watch',
  async run(context, input) {
    const read = await readerOf(context, input)
    const name = input.argument('NAME')
    const last = input.flag('watch') ? await watch(context, name, read) : await read()
    return { json: { model: name, ...last }, text: rolloutText(name, last, Date.now()) }
  },
}

async function readerOf(context: Context, input: Input): Promise<() => Promise<ShownHistory>> {
  const [name, server] = [input.argument('NAME'), serverOf(context, input)]
  if (server !== null) {
    return async () => {
      const path = `/v1/models/${encodeURIComponent(name)}/rollout`
      const { pinned, serves, rollout, hold, decisions } = await server.ask('GET', path, undefined, rolloutAnswer)
      return { pinned, serves, rollout, hold, decisions }
    }
  }
  const db = await context.database()
  let catalog = await context.catalog()
  return async () => {
    if ((await catalogRevision(db)) !== catalog.revision) catalog = await context.catalog()
    const model = catalog.model(name)
    return { pinned: model.pin, serves: answeringVersion(model), ...(await readRolloutHistory(db.kysely, model.name)) }
  }
}

async function watch({ terminal, signal }: Context, name: string, read: () => Promise<ShownHistory>): Promise<ShownHistory> {
  const seen = new Set<string>()
  for (;;) {
    const history = await read()
    if (history.rollout?.state !== 'running' || signal.aborted) return history
    if (terminal.width !== null && !terminal.json) terminal.print(`\u001B[2J\u001B[H${rolloutText(name, history, Date.now())}`)
    else if (!terminal.json) {
      for (const decision of history.decisions.toReversed()) {
        const key = `${decision.id} ${decision.reasons.join(' ')}`
        if (!seen.has(key)) terminal.print(decisionText(decision))
        seen.add(key)
      }
    }
    await sleep(lookMs, undefined, { signal }).catch(() => undefined)
  }
}
