import type { WaitingPlace } from '../../runtime/async.ts'
import type { Admission } from './admission.ts'

/**
 * The place of an admitted request. One that waits in a queue gives it back, so that it keeps no other request out, and
 * takes it again afterwards whatever the limit, unless it has ended meanwhile.
 */
export type Place = WaitingPlace

/** @returns with `leave`, which ends the request */
export function createPlace({ pause, resume, leave }: Pick<Admission, 'pause' | 'resume' | 'leave'>): Place & { leave(): void } {
  let state: 'in' | 'waits' | 'left' = 'in'
  return {
    giveBack() {
      if (state !== 'in') return
      state = 'waits'
      pause()
    },
    takeBack() {
      if (state !== 'waits') return
      state = 'in'
      resume()
    },
    leave() {
      if (state === 'in') leave()
      state = 'left'
    },
  }
}
