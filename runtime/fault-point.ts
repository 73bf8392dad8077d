/** The steps between which a process may die, and lose or double nothing. Tests kill it there. */
export type FaultPoint =
  | 'push: committed'
  | 'push: rows read'
  | 'states: to be written'
  | 'states: written'
  | 'run: recorded'
  | 'run: begun'
  | 'run: folded'
  | 'run: checkpoint moved'
  | 'backfill: begun'
  | 'backfill: written down'
  | 'backfill: chunk made'
  | 'job: chunk written down'
  | 'backfill: checkpoint moved'
  | 'job: ended'
  | 'rebuild: begun'
  | 'rebuild: removed'
  | 'erase: committed'
  | 'erase: rebuilt'
  | 'erase: waited'
  | 'erase: removed'
  | 'ingest undone: committed'
  | 'source file: loaded'
  | 'monitor: evaluated'
  | 'monitor: recorded'
  | 'alert: sent'
  | 'alert: written down'
  | 'training: set written'
  | 'training: model kept'
  | 'training: version registered'
  | 'training: version promoted'
  | 'rollout: due'
  | 'rollout: evidence gathered'
  | 'rollout: decided'
  | 'rollout: to be committed'
  | 'rollout: committed'
  | 'rollout: counts written'
  | 'registry: changed'
  | 'registry: read'
  | 'registry: models loaded'
  | 'registry: in force'

let armed: FaultPoint | null = null

/** Kills this process when it comes to the point. For tests. */
export function armFaultPoint(point: FaultPoint): void {
  armed = point
}

export function faultPoint(point: FaultPoint): void {
  if (point === armed) process.kill(process.pid, 'SIGKILL')
}
