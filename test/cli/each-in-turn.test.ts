import { expect, it } from 'vitest'
import { eachInTurn } from '../../cli/each-in-turn.ts'
import { LockstepError } from '../../kernel/errors.ts'

const nameOf = (name: string) => name

it('one that fails does not stop the others', async () => {
  const error = new LockstepError('INVALID_REQUEST', 'b is bad')
  const work = async (name: string) => {
    if (name === 'b') throw error
    return name
  }
  const { signal } = new AbortController()
  expect(await eachInTurn(['a', 'b', 'c'], { nameOf, signal, work })).toEqual({ done: ['a', 'c'], failed: [{ name: 'b', error }] })
})

it('a command that is stopped begins no further one', async () => {
  const stop = new AbortController()
  const begun: string[] = []
  const work = async (name: string) => {
    begun.push(name)
    stop.abort(new LockstepError('STOPPED', 'Stopped.'))
  }
  await expect(eachInTurn(['a', 'b'], { nameOf, signal: stop.signal, work })).rejects.toThrow('Stopped.')
  expect(begun).toEqual(['a'])
})
