import type { RolloutChange } from '../registry/rollouts/rollout-transaction.ts'
import type { Actor } from '../runtime/audit.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { rolloutChangeAnswer } from '../serving/protocols/http/rollouts/rollout-answers.ts'
import { actorOf } from './actor.ts'
import type { Outcome } from './command.ts'
import type { Context } from './context.ts'
import type { Input } from './input.ts'
import { serverOf } from './remote/server-option.ts'
import { rolloutChangeText } from './text/rollout-text.ts'

/** Changes the running rollout of the model NAME, in the database or through a server. */
export async function changeRollout(
  context: Context,
  input: Input,
  change: (db: Database, name: string, by: Actor) => Promise<RolloutChange>,
  { action, method = 'POST', body = {} }: { readonly action: string; readonly method?: 'POST' | 'PUT'; readonly body?: object },
): Promise<Outcome> {
  const [name, by, server] = [input.argument('NAME'), actorOf(input), serverOf(context, input)]
  const path = `/v1/models/${encodeURIComponent(name)}/rollout/${action}`
  const made =
    server === null
      ? await change(await context.database(), name, by)
      : await server.ask(method, path, { ...body, reason: by.reason }, rolloutChangeAnswer)
  return { json: made, text: rolloutChangeText(made) }
}
