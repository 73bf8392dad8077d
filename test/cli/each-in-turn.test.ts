import { expect, it } from 'vitest'
import { eachInTurn, notDoneJson, notDoneLines } from '../../cli/each-in-turn.ts'
import { LockstepError } from '../../kernel/errors.ts'

const nameOf = (name: string) => name

it('one that fails does not stop the others', async () => {
  const error = new LockstepError('INVALID_REQUEST', 'b is bad')
  const work = async (name: string) => {
    if (name === 'b') throw error
    return name
  }
  const { signal } = new AbortController()
  expect(await eachInTurn(['a', 'b', 'c'], { nameOf, signal, work })).toEqual({
    done: ['a', 'c'],
    failed: [{ name: 'b', error }],
    stopped: null,
  })
})

it('a command that is stopped begins no further one, and answers what is done and what is left', async () => {
  const stop = new AbortController()
  const work = async (name: string) => {
    if (name === 'a') throw new LockstepError('INVALID_REQUEST', 'a is bad')
    if (name === 'c') {
      stop.abort(new LockstepError('STOPPED', 'Stopped.'))
      throw new Error('The connection is closed.')
    }
    return name
  }
  const turns = await eachInTurn(['a', 'b', 'c', 'd'], { nameOf, signal: stop.signal, work })
  expect(turns.done).toEqual(['b'])
  expect(notDoneLines(turns)).toEqual(['failed: a: INVALID_REQUEST: a is bad', 'not done: c, d: STOPPED: Stopped.'])
  expect(notDoneJson(turns, 'view')).toEqual({
    failed: [{ view: 'a', code: 'INVALID_REQUEST', message: 'a is bad', details: {} }],
    stopped: { left: ['c', 'd'], code: 'STOPPED', message: 'Stopped.', details: {} },
  })
})

it('a command of one thing that is stopped fails', async () => {
  const signal = AbortSignal.abort(new LockstepError('STOPPED', 'Stopped.'))
  await expect(eachInTurn(['a'], { nameOf, signal, work: async (name) => name })).rejects.toThrow('Stopped.')
})
