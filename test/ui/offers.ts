import { execFileSync } from 'node:child_process'
import { stripTypeScriptTypes } from 'node:module'
import { Client } from 'pg'
import { prepare } from '../../cli/run.ts'
import { messageOf } from '../../kernel/errors.ts'
import type { Ways } from '../../ui/parts/ways.ts'
import { waysOf } from '../../ui/parts/ways.ts'
import type { Visits } from './visits.ts'

/** The texts that a panel offers in place of the dashboard, by the names of its tabs. */
export interface Offer {
  readonly panel: string
  readonly texts: Readonly<Record<string, string>>
  /** The tabs that say that they show now, on a page of another moment. */
  readonly ofNow: readonly string[]
}

/** Opens all offers of the page that is shown. @param offers gets them @returns the panels that have none */
export async function readOffers({ page }: Visits, offers: Offer[]): Promise<string[]> {
  const { found, without } = await page.evaluate<{ found: Offer[]; without: string[] }>(`(async () => {
    const ending = ': as a command, curl, TypeScript or SQL'
    const until = async (is) => {
      for (const end = Date.now() + 60_000; !is(); ) {
        if (Date.now() > end) throw new Error('It does not open or close.')
        await new Promise((done) => setTimeout(done))
      }
    }
    const found = []
    for (const button of document.querySelectorAll('main button[aria-label$="' + ending + '"]')) {
      const dialog = () => document.querySelector('[role="dialog"] [role="tablist"][aria-label="Ways"]')?.closest('[role="dialog"]')
      // a panel's offer is hidden while its button is
      button.scrollIntoView({ block: 'center' })
      button.click()
      await until(() => dialog()?.contains(document.activeElement))
      const texts = {}
      const ofNow = []
      for (const tab of dialog().querySelectorAll('[role="tab"]')) {
        tab.click()
        await until(() => tab.getAttribute('aria-selected') === 'true')
        const code = dialog().querySelector('[role="tabpanel"] code')
        texts[tab.textContent] = code.textContent
        if (code.closest('[role="tabpanel"]').textContent.includes('it shows now')) ofNow.push(tab.textContent)
      }
      button.click()
      await until(() => !dialog())
      found.push({ panel: button.getAttribute('aria-label').slice(0, -ending.length), texts, ofNow })
    }
    const panels = [...document.querySelectorAll('main section.panel')]
    const without = panels.filter((panel) => panel.querySelector('button[aria-label$="' + ending + '"]') === null)
    return { found, without: without.map((panel) => panel.querySelector('h2').textContent) }
  })()`)
  offers.push(...found)
  return without.map((panel) => `the panel "${panel}" offers nothing`)
}

/** All that panels can offer, each of something that the world of these tests has. */
const all: { readonly [Name in keyof typeof waysOf]: Ways } = {
  catalog: waysOf.catalog(),
  traffic: waysOf.traffic(),
  times: waysOf.times(),
  models: waysOf.models(),
  model: waysOf.model('delay'),
  modelTraffic: waysOf.modelTraffic('delay'),
  overTime: waysOf.overTime('delay', 'day', { name: 'probabilities', kind: 'mean' }),
  modelChanges: waysOf.modelChanges('delay'),
  quality: waysOf.quality('delay', null),
  drift: waysOf.drift('delay'),
  served: waysOf.served('airport_delays@1', 'lastDelay', [{ model: 'delay', column: 'lastDelay' }]),
  definition: waysOf.definition('view', 'airport_delays@1'),
  lineage: waysOf.lineage('view airport_delays@1'),
  readers: waysOf.readers('view', 'airport_delays@1'),
  plan: waysOf.plan(undefined),
  sourceFiles: waysOf.sourceFiles('balances'),
  freshness: waysOf.freshness('airport_delays@1'),
  rollout: waysOf.rollout('delay'),
  decisions: waysOf.decisions('delay'),
  experiment: waysOf.experiment('weather'),
  exposures: waysOf.exposures('weather'),
  trainings: waysOf.trainings(),
  training: waysOf.training('weekly'),
  pipelines: waysOf.pipelines(),
  pipeline: waysOf.pipeline('score'),
  deadLetters: waysOf.deadLetters('source', 'landings'),
  predictions: waysOf.predictions(),
  explainable: waysOf.explainable(),
  explain: waysOf.explain('service', 'flight', '{"airport":"ATL"}', '2001-07-01T12:00:00Z', 'SELECT 1'),
  prediction: waysOf.prediction('none/0'),
  parity: waysOf.parity(),
  alerts: waysOf.alerts(),
  monitors: waysOf.monitors(),
  jobs: waysOf.jobs({ kind: 'backfill', state: 'failed' }),
  job: waysOf.job('1'),
  keys: waysOf.keys(),
  audit: waysOf.audit(),
}

const tabs = { command: 'Command', curl: 'curl', typescript: 'TypeScript', sql: 'SQL' } as const

/** All that panels can offer on pages of a moment. Of each, the ways that take it. */
export function offersAt(at: string): readonly (Offer & { readonly taking: readonly string[] })[] {
  return Object.entries(all).map(([panel, ways]) => {
    const [offer, present] = [ways(at), ways()]
    const given = (Object.keys(tabs) as (keyof typeof tabs)[]).filter((way) => offer[way] !== undefined)
    return {
      panel,
      texts: Object.fromEntries(given.map((way) => [tabs[way], offer[way] ?? ''])),
      taking: given.filter((way) => offer[way] !== present[way]),
      ofNow: [],
    }
  })
}

interface Where {
  readonly url: string
  /** Of an API key with the scope `admin`. */
  readonly key: string
  readonly postgresUrl: string
}

/** No API key can list keys. */
const withoutCurl = ['keys', 'All keys']

/** The errors of these tests' models: one has no baseline and no outcome, another no version. */
const lacks = /BASELINE_MISSING|has no outcome|has no version yet/

/** Faults of offers: commands that do not parse, and requests, programs and queries that fail. */
export async function brokenOffers(offers: readonly Offer[], where: Where): Promise<string[]> {
  const wrong = offers.flatMap(({ panel, texts }) =>
    Object.values(tabs)
      .filter((tab) => !(tab in texts) && !(tab === 'curl' && withoutCurl.includes(panel)))
      .map((tab) => `${panel} has no ${tab}`),
  )
  const textsOf = (way: string): string[] => [...new Set(offers.flatMap(({ texts }) => texts[way] ?? []))]
  const broken = async (way: string, tried: (text: string, i: number) => Promise<unknown>): Promise<void> => {
    for (const [i, text] of textsOf(way).entries())
      await tried(text, i).catch((error: unknown) => wrong.push(`${way} "${text}": ${messageOf(error)}`))
  }
  const commands = shellWords(textsOf('Command'), where)
  await broken('Command', async (_, i) => await prepare(commands[i]?.slice(1) ?? []))
  const requests = shellWords(textsOf('curl'), where)
  await broken('curl', async (_, i) => await sent(requests[i] ?? []))
  const db = new Client(where.postgresUrl)
  await db.connect()
  await broken('SQL', async (text) => await db.query(text))
  await db.end()
  await broken('TypeScript', async (text) => await ran(text, where))
  return wrong
}

/** The words of commands, as a shell takes them. */
function shellWords(commands: readonly string[], { url, key }: Where): readonly (readonly string[])[] {
  const [end, each] = ['\u0001', '\u0002']
  const says = (name: string): string => `${name}() { printf '%s${end}' ${name} "$@"; }`
  const script = [says('lockstep'), says('curl'), 'grep() { cat; }', ...commands.map((command) => `${command}\nprintf '${each}'`)].join(
    '\n',
  )
  const said = execFileSync('sh', ['-c', script], { encoding: 'utf8', env: { LOCKSTEP: url, KEY: key } })
  const words = said.split(each).slice(0, -1)
  return words.map((text) => text.split(end).slice(0, -1))
}

/** Sends what curl would. */
async function sent(words: readonly string[]): Promise<void> {
  const after = (option: string): string | undefined => (words.includes(option) ? words[words.indexOf(option) + 1] : undefined)
  const [name = '', ...value] = (after('-H') ?? '').split(': ')
  const body = after('-d')
  const answer = await fetch(words[1] ?? '', {
    headers: { [name]: value.join(': ') },
    ...(body === undefined ? {} : { method: 'POST', body }),
  })
  const text = await answer.text()
  if (answer.status !== 200 && !lacks.test(text)) throw new Error(text)
}

/** Runs a program, with what it would import. */
async function ran(text: string, { url, key, postgresUrl }: Where): Promise<void> {
  const code = stripTypeScriptTypes(text.replaceAll(/^import .*$/gm, ''))
  const AsyncFunction = (async () => undefined).constructor as new (...parts: string[]) => (...values: unknown[]) => Promise<void>
  const program = new AsyncFunction('process', 'console', 'Client', code)
  const said: unknown[] = []
  const env = { LOCKSTEP: url, KEY: key, LOCKSTEP_POSTGRES_URL: postgresUrl }
  await program({ env }, { log: (value: unknown) => said.push(value) }, Client)
  const printed = JSON.stringify(said)
  if (said.length !== 1 || (printed.startsWith('[{"error":') && !lacks.test(printed))) throw new Error(`it says ${printed}`)
}
