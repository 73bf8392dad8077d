import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { installedTrainers, trainerPath } from '../../training/trainers.ts'

let folder: string
let trainers: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-trainers-'))
  trainers = join(folder, 'trainers')
  await mkdir(join(trainers, '..data'), { recursive: true })
  await mkdir(join(trainers, 'folder'))
  for (const name of [
    'outside.sh',
    'trainers/train.sh',
    'trainers/train.txt',
    'trainers/..data/mounted.sh',
    'trainers/.hidden',
    'trainers/a b',
  ]) {
    await writeFile(join(folder, name), '#!/bin/sh\n')
    await chmod(join(folder, name), name.endsWith('.txt') ? 0o644 : 0o755)
  }
  // as Kubernetes mounts files
  await symlink('..data/mounted.sh', join(trainers, 'mounted.sh'))
  await symlink('../outside.sh', join(trainers, 'relative.sh'))
  await symlink('/bin/sh', join(trainers, 'sh'))
  await symlink('gone', join(trainers, 'broken'))
})
afterAll(() => rm(folder, { recursive: true }))

it('are the executable files of the folder, and links within it', async () => {
  expect(await installedTrainers(trainers)).toEqual(['mounted.sh', 'train.sh'])
  expect(await installedTrainers(null)).toEqual([])
  expect(await installedTrainers(join(folder, 'missing'))).toEqual([])
})

it.each([
  'relative.sh',
  'sh',
  'train.txt',
  'folder',
  '.hidden',
  'a b',
  '../outside.sh',
  'broken',
  '/bin/sh',
  '..data/mounted.sh',
  '',
  '.',
  '..',
])('is not "%s"', async (name) => {
  expect(await trainerPath(trainers, name)).toBeNull()
})
