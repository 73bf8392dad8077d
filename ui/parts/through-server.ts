/** Commands without `--server` that work while a server has the embedded database open. */
const independent: ReadonlySet<string> = new Set(['init', 'dev', 'doctor', 'serve', 'ui', 'openapi', 'completion'])

/** Commands without `--server` that open the database. */
const ofDatabase: ReadonlySet<string> = new Set([
  'migrate',
  'dataset register',
  'dataset verify',
  'batch estimate',
  'export-plan',
  'partition',
  'worker',
  'materialize',
  'erase',
  'rollout replay',
  'predict',
  'model evaluate',
  'baseline create',
  'predictions backfill',
  'monitor run',
  'alert test',
  'keys create',
  'keys list',
  'keys revoke',
  'keys rotate',
  'sign',
])

export interface ServerCommand {
  readonly text: string
  /** Whether it only works once the server has stopped. */
  readonly needsStop: boolean
}

/**
 * A command for a server with an embedded database, which no other process can open.
 *
 * @param text `lockstep alert show 3`; other programs stay as they are
 * @param url what `--server` takes
 * @returns null: the server does that work itself
 */
export function throughServer(text: string, url: string): ServerCommand | null {
  const [program, first = '', second = ''] = text.split(' ')
  if (program !== 'lockstep' || independent.has(first)) return { text, needsStop: false }
  if (first === 'worker') return null
  if (ofDatabase.has(first) || ofDatabase.has(`${first} ${second}`)) return { text, needsStop: true }
  const [command = '', ...output] = text.split(' > ')
  return { text: [`${command} --server ${url}`, ...output].join(' > '), needsStop: false }
}
