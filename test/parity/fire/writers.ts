import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { orTimeout, timedOut } from '../../../runtime/async.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { programFile } from '../../cli/run-lockstep.ts'

export interface Writers {
  /** Ids of events that were reported to their writers as committed. */
  readonly accepted: Set<string>
  readonly killed: () => number
  /** Resolves once all that were started first are at work. */
  readonly ready: Promise<unknown>
  /** Kills one by SIGKILL, by its process id, and starts another in its place. */
  killOne(): void
  /** Stops all writers, and waits for them. @throws where one failed on its own */
  stop(): Promise<void>
}

interface Writer {
  readonly role: string
  readonly child: ChildProcess
  /** Resolves when it is at work, or has ended. */
  readonly atWork: Promise<unknown>
  readonly ended: Promise<unknown>
  /** Its standard error. */
  readonly errors: () => string
}

/** The greatest time that a writer's start may take, and that its running work may take. */
const [startMs, stopMs] = [120_000, 120_000]
/** How long a writer has to say what it does. */
const sayMs = 5_000

/** Writers with these roles, in separate processes. */
export function startWriters(databaseUrl: string, redisUrl: string, streamUrl: string, roles: readonly string[]): Writers {
  const accepted = new Set<string>()
  const failures: string[] = []
  let killed = 0
  let seed = 1

  function start(role: string): Writer {
    const program = programFile('test/parity/fire/fire-process')
    const name = `${role}${seed}`
    const child = fork(program, [databaseUrl, redisUrl, streamUrl, role, name, String(seed++)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let errors = ''
    child.stderr?.on('data', (chunk) => (errors += String(chunk)))
    child.on('message', (message) => {
      for (const id of (message as { readonly accepted: readonly string[] }).accepted) accepted.add(id)
    })
    child.on('exit', (code, signal) => {
      if (code !== 0 && signal !== 'SIGKILL') failures.push(`${name} ended with ${code ?? signal}: ${errors}`)
    })
    const ended = once(child, 'exit')
    return { role, child, atWork: Promise.race([once(child, 'message'), ended]), ended, errors: () => errors }
  }

  /** Its work ends after the step that it is at. One that was just started in the place of another begins first. */
  async function stopOne(writer: Writer): Promise<void> {
    const { child, atWork, ended } = writer
    if ((await orTimeout(atWork, startMs)) === timedOut) return await giveUp(writer, `was not at work within ${startMs / 1000} s`)
    if (child.connected) child.send('stop')
    if ((await orTimeout(ended, stopMs)) === timedOut) await giveUp(writer, `did not stop within ${stopMs / 1000} s`)
  }

  async function giveUp({ role, child, errors }: Writer, what: string): Promise<void> {
    child.kill('SIGUSR2')
    await sleep(sayMs)
    failures.push(`a writer of the role ${role} ${what}\n${errors()}${await activity(databaseUrl)}`)
    child.kill('SIGKILL')
  }

  const running = roles.map(start)
  return {
    accepted,
    killed: () => killed,
    ready: Promise.all(running.map(({ atWork }) => atWork)),
    killOne() {
      const at = killed++ % running.length
      const one = running[at]
      if (one === undefined) return
      one.child.kill('SIGKILL')
      running[at] = start(one.role)
    },
    async stop() {
      await Promise.all(running.map(stopOne))
      if (failures.length > 0) throw new Error(failures.join('\n'))
    },
  }
}

/** The waits of the database's sessions, a line each. */
async function activity(databaseUrl: string): Promise<string> {
  const db = openPostgres(databaseUrl)
  try {
    const sessions = await db.query<{ line: string }>(
      `select concat_ws(' ', pid, state, wait_event_type, wait_event, pg_blocking_pids(pid)::text, left(query, 200)) as line
       from pg_stat_activity where datname = current_database()`,
    )
    return sessions.map(({ line }) => line).join('\n')
  } finally {
    await db.close()
  }
}
