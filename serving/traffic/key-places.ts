import { LockstepError } from '../../kernel/errors.ts'

/**
 * Bounds how many requests of each API key are in flight: the clients of one key, slow or many, leave places to those
 * of the others.
 */
export interface KeyPlaces {
  /**
   * Takes a place for a request of a key.
   *
   * @returns gives it back; the same function for all requests of a key
   * @throws LockstepError `OVERLOADED`
   */
  take(key: string): () => void
}

interface Place {
  taken: number
  readonly leave: () => void
}

/** @param max for each key */
export function createKeyPlaces(max: number): KeyPlaces {
  const places = new Map<string, Place>()

  function placeOf(key: string): Place {
    let place = places.get(key)
    if (place === undefined) {
      const made: Place = {
        taken: 0,
        leave() {
          made.taken--
          if (made.taken === 0) places.delete(key)
        },
      }
      places.set(key, (place = made))
    }
    return place
  }

  return {
    take(key) {
      const place = placeOf(key)
      if (place.taken >= max) {
        throw new LockstepError(
          'OVERLOADED',
          `The API key "${key}" has ${max} requests in flight, which is the maximum for one key. Retry when some of them are answered, or raise LOCKSTEP_MAX_IN_FLIGHT_PER_KEY.`,
          { details: { key, limit: max } },
        )
      }
      place.taken++
      return place.leave
    },
  }
}
