import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKey } from '../../registry/keys/api-keys.ts'
import { promoteModel, removeModelAlias } from '../../registry/promote.ts'
import { abortRollout, pauseRollout, resumeRollout, startRollout } from '../../registry/rollouts/change-rollout.ts'
import type { World } from '../serving/world.ts'
import { openDashboard } from './dashboard.ts'
import type { Visits } from './visits.ts'

let world: World
let visits: Visits
let close: () => Promise<void>

beforeAll(async () => {
  const opened = await openDashboard(async ({ db, push }) => {
    await push('delay', 'logistic', 'second')
    await promoteModel(db, 'delay', 1, { actor: 'ann' })
    await startRollout(db, 'delay', { version: 2, plan: 'default' }, { actor: 'ann' })
    return undefined
  })
  ;({ world, visits, close } = opened)
})
afterAll(() => close?.())

it('a key is created after its author has seen the keys that others made meanwhile', async () => {
  const { page } = visits
  await visits.go('keys')
  await page.getByRole('button', { name: 'Create a key' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill('batch')
  await dialog.getByLabel('push').check()
  await dialog.getByLabel('Reason').fill('for the nightly batch')
  const limits = { requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
  await createKey(world.db, { name: 'by Bob', scopes: ['push'], ...limits })
  await dialog.getByRole('button', { name: 'Create' }).click()
  await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
  await page.getByText('by Bob', { exact: true }).waitFor()
  await dialog.getByRole('button', { name: 'Create' }).click()
  await dialog.getByText('The key, which is never shown again:').waitFor()
  await page.keyboard.press('Escape')
  await page.getByText('batch', { exact: true }).waitFor()
  expect(visits.faults()).toEqual([])
})

it('an open dialog acts on what it opened with, even after the page is read again', async () => {
  const { page } = visits
  let refusals = 0
  page.on('response', (response) => void (refusals += Number([409, 412].includes(response.status()))))
  await visits.go('rollouts/delay')
  await page.getByRole('button', { name: /^Promote/ }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText(/^No request of version 2 was counted from /).waitFor()
  expect(await dialog.getByText('The controller has not looked yet.').count()).toBe(1)
  await dialog.getByLabel('Reason').fill('it is better')
  await pauseRollout(world.db, 'delay', { actor: 'bob' })
  // the page behind shows it
  await page.locator('.page-title .badge', { hasText: 'paused' }).waitFor()
  await dialog.getByRole('button', { name: 'Promote' }).click()
  await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
  const aliases = await world.db.query(`select version from lockstep.model_aliases where model = 'delay' and alias = 'champion'`, [])
  expect(aliases).toEqual([{ version: 1 }])
  // a second change behind the dialog is refused as well
  await resumeRollout(world.db, 'delay', { actor: 'bob' })
  await page.locator('.page-title .badge', { hasText: 'running' }).waitFor()
  await dialog.getByRole('button', { name: 'Promote' }).click()
  await expect.poll(() => refusals).toBe(2)
  // after that the act is possible, and a rollout that has ended is not paused
  await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
  await dialog.getByRole('button', { name: 'Promote' }).click()
  await page.getByText('Version 2 is the champion.').waitFor()
  await page.locator('.page-title .badge', { hasText: 'promoted' }).waitFor()
  expect(visits.faults()).toEqual([])
})

it('a dialog stays what it was when the page offers the opposite act in its place', async () => {
  const { page } = visits
  await startRollout(world.db, 'delay', { version: 1, plan: 'default' }, { actor: 'ann' })
  await visits.go('rollouts/delay')
  await page.getByRole('button', { name: /^Pause/ }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Reason').fill('to look at it')
  await pauseRollout(world.db, 'delay', { actor: 'bob' })
  await page.locator('.page-title .badge', { hasText: 'paused' }).waitFor()
  expect(await dialog.textContent()).toContain('Pause the rollout of version 1 of delay')
  await dialog.getByRole('button', { name: 'Pause' }).click()
  await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
  expect(await dialog.getByRole('button', { name: 'Resume' }).count()).toBe(0)
  await dialog.getByRole('button', { name: 'Cancel' }).click()
})

it('an act that the page no longer offers says that nothing was done', async () => {
  const { page } = visits
  await visits.go('rollouts/delay')
  await page.getByRole('button', { name: /^Abort/ }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Reason').fill('it is worse')
  // the page has not read yet that it has ended
  await page.route('**/ui/api/rollouts/delay/abort', async (route) => {
    await abortRollout(world.db, 'delay', { actor: 'bob' })
    await route.continue()
  })
  await dialog.getByRole('button', { name: 'Abort' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByText('This has changed since you looked at it; nothing was done.').waitFor()
  await page.unrouteAll({ behavior: 'ignoreErrors' })
  expect(visits.faults()).toEqual([])
})

it('a model says which version was champion before, and rolls back to it', async () => {
  const { page } = visits
  await visits.go('models/delay')
  expect(await page.locator('dt', { hasText: 'Roll back' }).locator('xpath=following-sibling::dd[1]').textContent()).toBe('to version 1')
  await promoteModel(world.db, 'delay', 1, { actor: 'ann' })
  // a server reads what others changed a little later
  await expect
    .poll(async () => {
      await visits.go('models/delay')
      return await page.locator('.page-title .badge').textContent()
    })
    .toBe('version 1')
  await page.getByRole('button', { name: /^Roll back\W+Roll delay back to version 2/ }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('Version 2, the champion before version 1, answers from the next request on.').waitFor()
  await dialog.getByLabel('Reason').fill('it was better')
  await dialog.getByRole('button', { name: 'Roll back' }).click()
  await page.getByText('Version 2 is the champion.').waitFor()
  await page.locator('.page-title .badge', { hasText: 'version 2' }).waitFor()
  expect(visits.faults()).toEqual([])
})

it('a version shows its newest figures before it is promoted', async () => {
  const { page } = visits
  await visits.go('models/delay')
  await page.getByRole('button', { name: /^Promote\W+Promote version 1 of delay/ }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText(/^No request of version 1 was counted from /).waitFor()
  await dialog.getByRole('button', { name: 'Cancel' }).click()
})

it('a model that cannot be rolled back says why', async () => {
  await removeModelAlias(world.db, 'delay', 'champion', { actor: 'ann' })
  await promoteModel(world.db, 'delay', 2, { actor: 'ann' })
  await expect
    .poll(async () => {
      await visits.go('models/delay')
      return await visits.page.locator('dl').allTextContents()
    })
    .toContainEqual(expect.stringContaining('it pointed to no version before 2.'))
  expect(await visits.page.getByRole('button', { name: /^Roll back/ }).count()).toBe(0)
})
