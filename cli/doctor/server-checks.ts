import { isRecord } from '../../kernel/is-record.ts'
import { counted } from '../text/human.ts'
import { connectServer } from '../remote/server.ts'
import type { Answer } from './check.ts'
import { note, ok, wrong } from './check.ts'

interface Asked {
  readonly url: string
  readonly apiKey: string | null
  readonly signal: AbortSignal
}

/** Whether the server of LOCKSTEP_SERVER answers, and what it reports about itself. */
export async function checkServer({ url, apiKey, signal }: Asked): Promise<Answer[]> {
  const server = connectServer(url, { apiKey, signal })
  const response = await server.send('GET', '/readyz')
  const answer: unknown = await response.json().catch(() => null)
  if (!isRecord(answer) || typeof answer['ready'] !== 'boolean')
    return [wrong(`"${url}" answers, but not as a Lockstep server. Correct LOCKSTEP_SERVER.`)]
  const state = answer['ready']
    ? ok(`The server "${url}" is ready.`)
    : wrong([`The server "${url}" is not ready.`, ...listOf(answer['reasons'])].join(' '))
  return [state, ...listOf(answer['warnings']).map((warning) => note(String(warning)))]
}

/** Whether the server takes LOCKSTEP_API_KEY. */
export async function checkServerKey({ url, apiKey, signal }: Asked): Promise<Answer> {
  const server = connectServer(url, { apiKey, signal })
  const response = await server.send('GET', '/v1/models')
  const whose = apiKey === null ? 'requests without a key (LOCKSTEP_API_KEY is not set)' : 'LOCKSTEP_API_KEY'
  if (response.ok) {
    const answer: unknown = await response.json()
    return ok(`It takes ${whose}, and has ${counted(listOf(isRecord(answer) ? answer['models'] : null).length, 'model')}.`)
  }
  const { code, message } = await server.refusal(response)
  return code === 'FORBIDDEN' ? note(message) : wrong(message)
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
