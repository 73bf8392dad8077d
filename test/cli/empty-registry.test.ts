import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { copyEmbedded } from '../services/embedded-template.ts'
import type { LockstepCommand } from './one-process.ts'
import { commandsWith } from './one-process.ts'

let folder: string
let lockstep: LockstepCommand

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-empty-'))
  await copyEmbedded(join(folder, 'postgres'))
  lockstep = commandsWith({ LOCKSTEP_DIR: folder }, folder)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

it.each([
  [['batch', 'list'], 'There is no batch yet. "lockstep batch run" starts one.'],
  [['batch', 'list', '--state', 'failed'], 'There are no such batches.'],
  [['job', 'list'], 'There is no job yet.'],
  [['job', 'list', '--kind', 'backfill'], 'There are no such jobs.'],
])('an empty registry has an empty list: %s', async (words, text) => {
  expect(await lockstep(...words)).toMatchObject({ exitCode: 0, out: `${text}\n` })
})

it.each([
  [['prune', 'nosuch'], 'There is nothing called "nosuch" in the registry. "lockstep list" lists everything.'],
  [['erase', 'nosuch', 'a'], 'The registry has no entity yet; apply a definitions file.'],
  [['alert', 'test', 'nosuch'], 'There is no channel "nosuch". None is declared; see docs/alerts.md#channels.'],
  [['ingest', 'undo', '7'], 'There is no load "7"; "lockstep ingest list" lists the loads.'],
])('an empty registry says what to do: %s', async (words, text) => {
  expect(await lockstep(...words)).toMatchObject({ exitCode: 1, err: `error UNKNOWN_DEFINITION: ${text}\n` })
})
