import { LockstepError } from '../../kernel/errors.ts'

/**
 * How many requests of each API key are under way: one key's clients, slow or many, leave places to those of the
 * others.
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

/** @param most for each key */
export function createKeyPlaces(most: number): KeyPlaces {
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
      if (place.taken >= most) {
        throw new LockstepError(
          'OVERLOADED',
          `The API key "${key}" has ${most} requests in flight, which is the maximum for one key. Retry when some of them are answered, or raise LOCKSTEP_MAX_IN_FLIGHT_PER_KEY.`,
          { details: { key, limit: most } },
        )
      }
      place.taken++
      return place.leave
    },
  }
}
