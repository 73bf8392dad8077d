import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
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

/** The greatest time that a writer's running work may take. */
const stopMs = 30_000

/** Writers with these roles, in separate processes. */
export function startWriters(databaseUrl: string, redisUrl: string, streamUrl: string, roles: readonly string[]): Writers {
  const accepted = new Set<string>()
  const failures: string[] = []
  let killed = 0
  let seed = 1

  function start(role: string): ChildProcess {
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
    return child
  }

  const running = roles.map((role) => ({ role, child: start(role) }))
  return {
    accepted,
    killed: () => killed,
    ready: Promise.all(running.map(({ child }) => Promise.race([once(child, 'message'), once(child, 'exit')]))),
    killOne() {
      const at = killed++ % running.length
      const one = running[at]
      if (one === undefined) return
      one.child.kill('SIGKILL')
      running[at] = { role: one.role, child: start(one.role) }
    },
    async stop() {
      await Promise.all(
        running.map(
          ({ role, child }) =>
            new Promise<void>((resolve) => {
              if (child.exitCode !== null || child.signalCode !== null) return resolve()
              const late = setTimeout(() => {
                failures.push(`a writer of the role ${role} did not stop within ${stopMs / 1000} s`)
                child.kill('SIGKILL')
              }, stopMs)
              child.once('exit', () => {
                clearTimeout(late)
                resolve()
              })
              if (child.connected) child.send('stop')
            }),
        ),
      )
      if (failures.length > 0) throw new Error(failures.join('\n'))
    },
  }
}
