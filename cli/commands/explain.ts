import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/values/parse-json.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { explainView } from '../../offline/explain-view.ts'
import type { ReadExplanation } from '../../serving/features/explain.ts'
import { explain } from '../../serving/features/explain.ts'
import { explainPrediction } from '../../serving/features/explain-prediction.ts'
import { explainAnswer } from '../../serving/protocols/http/features/explain-schemas.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import type { Explained } from '../text/explain-text.ts'
import { explainedText } from '../text/explain-text.ts'
import type { Input } from '../input.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const explainCommand: Command = {
  name: 'explain',
  summary: 'Explain why the features of one entity have their values',
  description: [
    'Shows for each feature its rows with their event and known times, whether each counts, and why. Reads the offline history.',
    'With the id of a logged prediction, explains the features of its entity as of its moment.',
  ],
  arguments: [{ name: 'NAME', help: 'A feature service, a feature view, or the id of a logged prediction.' }],
  options: {
    entity: { value: 'JSON', help: 'The key, such as {"airport": "ATL"}. Needed, except for a prediction.' },
    'as-of': { value: 'TIME', help: 'The moment. Default: now.' },
    candidates: { value: 'N', help: 'The maximum number of rows of each kind. Default: 10.' },
    server: serverOption,
  },
  example: `lockstep explain airport_delays --entity '{"airport": "ATL"}' --as-of 2001-06-30T12:00:00Z`,
  async run(context, input) {
    const explained = await explainedBy(context, input)
    return { json: explained, text: explainedText(explained) }
  },
}

async function explainedBy(context: Context, input: Input): Promise<Explained> {
  const name = input.argument('NAME')
  const [entityText, asOf, maxRows] = [input.text('entity'), input.time('as-of'), input.count('candidates', 1, 100) ?? 10]
  // no definition has a slash in its name, and each prediction id has one
  const isPrediction = name.includes('/')
  if (isPrediction && (entityText !== undefined || asOf !== undefined))
    throw new LockstepError('USAGE', `"${name}" is a prediction, which has its own entity and moment; remove "--entity" and "--as-of".`)
  if (!isPrediction && entityText === undefined)
    throw new LockstepError('USAGE', `The option "--entity" is missing. Write it as '{"airport": "ATL"}'.`)
  const entity = entityText === undefined ? {} : entityOf(entityText)
  const server = serverOf(context, input)
  if (server !== null) {
    const moment = asOf === undefined ? {} : { asOf: formatTimestamp(asOf) }
    const ask = (asked: object) => server.ask('POST', '/v1/explain', { ...asked, candidates: maxRows }, explainAnswer)
    const { requestId: _, ...answer } = isPrediction
      ? await ask({ prediction: name })
      : await ask({ service: name, entity, ...moment }).catch((error: unknown) => {
          if (error instanceof LockstepError && error.code === 'UNKNOWN_DEFINITION') return ask({ view: name, entity, ...moment })
          throw error
        })
    // the schema says less than what a server of the same version answers
    return answer as unknown as Explained
  }
  const catalog = await context.catalog()
  const db = await context.database()
  const read: ReadExplanation = (plan, key, options) => explainView(db, plan, key, { ...options, signal: context.signal })
  if (isPrediction) return await explainPrediction(db, catalog, read, { prediction: name, maxRows })
  const plain = name.replace(/@\d+$/, '')
  const isService = [...catalog.services.values()].some((service) => service.name === plain)
  const named = isService ? { service: name } : { view: name }
  return await explain(catalog, read, { ...named, entity, asOf: asOf ?? Date.now() * 1000, maxRows })
}

function entityOf(text: string): Readonly<Record<string, unknown>> {
  let json: unknown
  try {
    json = parseJson(text)
  } catch (cause) {
    throw new LockstepError('USAGE', `The option "--entity" is not JSON: ${messageOf(cause)}. Write it as '${asJson(text)}'.`, { cause })
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return { ...json }
  throw new LockstepError('USAGE', `The option "--entity" is not a JSON object. Write it as '{"airport": "ATL"}'.`)
}

/** `card=c36`, as other commands take it, in JSON; else an example. */
function asJson(text: string): string {
  const pairs = text.split(',').map((pair) => /^(\w+)=(.*)$/.exec(pair))
  if (pairs.includes(null)) return '{"airport": "ATL"}'
  return JSON.stringify(Object.fromEntries(pairs.map((pair) => [pair?.[1], pair?.[2]])))
}
