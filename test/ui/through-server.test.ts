import { expect, it } from 'vitest'
import { commands } from '../../cli/commands.ts'
import { throughServer } from '../../ui/parts/through-server.ts'

const url = 'http://127.0.0.1:8080'

it('a command goes through a server with an embedded database if it can', async () => {
  const wrong: string[] = []
  for (const { name, load } of commands) {
    const { options = {} } = await load()
    const offered = throughServer(`lockstep ${name} x`, url)
    const isSent = offered?.text === `lockstep ${name} x --server ${url}`
    if (isSent !== 'server' in options) wrong.push(name)
  }
  expect(wrong).toEqual([])
})

it('a command that opens the embedded database says so, and workers are not offered', () => {
  expect(throughServer('lockstep materialize airport_delays', url)).toEqual({
    text: 'lockstep materialize airport_delays',
    needsStop: true,
  })
  expect(throughServer('lockstep worker --only pipelines', url)).toBeNull()
  expect(throughServer('lockstep plan features.ts --json > plan.json', url)?.text).toBe(
    `lockstep plan features.ts --json --server ${url} > plan.json`,
  )
  for (const text of ['lockstep doctor', 'curl "$LOCKSTEP/metrics"', 'SELECT 1'])
    expect(throughServer(text, url)).toEqual({ text, needsStop: false })
})
