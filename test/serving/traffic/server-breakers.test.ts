import { expect, it } from 'vitest'
import { createBreaker } from '../../../serving/traffic/circuit-breaker.ts'
import { createServerBreakers } from '../../../serving/traffic/server-breakers.ts'

const down = new Error('down')

function breakers() {
  const open = new Set<string>()
  const forgotten: string[] = []
  const made = createServerBreakers({
    create: (server, isPresent) =>
      createBreaker({
        isUnavailable: (error) => error === down,
        refuse: () => new Error(`refused for ${server}`),
        now: () => 0,
        onChange: (isOpen) => void (isOpen && isPresent() ? open.add(server) : open.delete(server)),
      }),
    onForget: (server) => void forgotten.push(server),
  })
  const fail = (server: string, connection = 1) =>
    made
      .run(server, connection, async () => {
        throw down
      })
      .catch((error: Error) => error.message)
  const failOften = async (server: string) => {
    for (let i = 0; i < 5; i++) expect(await fail(server)).toBe('down')
    expect(await fail(server)).toBe(`refused for ${server}`)
  }
  const succeed = (server: string, connection = 1) => made.run(server, connection, async () => 'done')
  return { ...made, open, forgotten, fail, failOften, succeed }
}

it('refuses reads of the server that fails, and only those', async () => {
  const { failOften, succeed, open } = breakers()
  await failOften('a:1')
  expect(await succeed('b:1')).toBe('done')
  await expect(succeed('a:1')).rejects.toThrow('refused for a:1')
  expect([...open]).toEqual(['a:1'])
})

it('closes when the server is connected again', async () => {
  const { failOften, succeed, open } = breakers()
  await failOften('a:1')
  expect(await succeed('a:1', 2)).toBe('done')
  expect([...open]).toEqual([])
})

it('closes when the server answers a health check, and not when the server was not asked', async () => {
  const { failOften, note, succeed, fail, open } = breakers()
  await failOften('a:1')
  for (const answers of [false, null]) {
    note([{ server: 'a:1', answers }])
    expect(await fail('a:1')).toBe('refused for a:1')
  }
  note([{ server: 'a:1', answers: true }])
  expect(await succeed('a:1')).toBe('done')
  expect([...open]).toEqual([])
})

it('forgets servers that have left the cluster', async () => {
  const { failOften, note, succeed, forgotten } = breakers()
  await failOften('a:1')
  await succeed('b:1')
  note([{ server: 'b:1', answers: true }])
  expect(forgotten).toEqual(['a:1'])
  expect(await succeed('a:1')).toBe('done')
})

it('does not report a server that has left when its last reads fail', async () => {
  const { run, note, open } = breakers()
  let fail: (error: Error) => void = () => undefined
  const failing = new Promise<never>((_, reject) => (fail = reject))
  const reads = Array.from({ length: 5 }, () => run('a:1', 1, () => failing))
  note([{ server: 'b:1', answers: true }])
  fail(down)
  await Promise.allSettled(reads)
  expect([...open]).toEqual([])
})
