import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { issueCode } from '../../registry/keys/dashboard-sessions.ts'
import { promoteModel } from '../../registry/promote.ts'
import { pauseRollout, startRollout } from '../../registry/rollouts/change-rollout.ts'
import { startBrowser } from '../services/browser.ts'
import type { World } from '../serving/world.ts'
import { createWorld } from '../serving/world.ts'
import type { Visits } from './visits.ts'
import { visit } from './visits.ts'

let world: World
let browser: Browser
let visits: Visits

beforeAll(async () => {
  browser = await startBrowser()
  world = await createWorld('embedded')
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('delay', 'logistic', 'second')
  await promoteModel(world.db, 'delay', 1, { actor: 'ann' })
  await startRollout(world.db, 'delay', { version: 2, plan: 'default' }, { actor: 'ann' })
  const { server, url } = await world.serve()
  await server.whenReady()
  visits = await visit(browser, url)
  await visits.go(`#code=${await issueCode(world.db, 'ann@laptop')}`)
})
afterAll(async () => {
  await visits?.close()
  await browser?.close()
  await world?.close()
})

it('an open dialog acts on what it opened with, even after the page is read again', async () => {
  const { page } = visits
  await visits.go('rollouts/delay')
  await page.getByRole('button', { name: /^Promote/ }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Reason').fill('it is better')
  await pauseRollout(world.db, 'delay', { actor: 'bob' })
  // the page behind shows it
  await page.locator('.page-title .badge', { hasText: 'paused' }).waitFor()
  await dialog.getByRole('button', { name: 'Promote' }).click()
  await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
  const aliases = await world.db.query(`select version from lockstep.model_aliases where model = 'delay' and alias = 'champion'`, [])
  expect(aliases).toEqual([{ version: 1 }])
  // after that the act is possible, and a rollout that has ended is not paused
  await dialog.getByRole('button', { name: 'Promote' }).click()
  await page.getByText('Version 2 is the champion.').waitFor()
  await page.locator('.page-title .badge', { hasText: 'promoted' }).waitFor()
  expect(visits.faults()).toEqual([])
})
