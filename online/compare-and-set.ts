import { frontierOffset } from '../kernel/stored-state.ts'

/**
 * Stores each value whose key's arrival frontier is still the one that its writer read.
 *
 *     KEYS  the keys
 *     ARGV  for each key: the expected frontier as its 8 stored bytes, or empty where the key must be absent; the new value
 *     returns, for each key, 1 where it was stored and 0 where another frontier was found
 *
 * A key that exists and has no frontier (fewer bytes than a header) is another program's and is never overwritten.
 */
export const compareAndSet = `
local stored = {}
for i, key in ipairs(KEYS) do
  local expected = ARGV[2 * i - 1]
  local found = redis.call('GETRANGE', key, ${frontierOffset}, ${frontierOffset + 7})
  if found == expected and (expected ~= '' or redis.call('EXISTS', key) == 0) then
    redis.call('SET', key, ARGV[2 * i])
    stored[i] = 1
  else
    stored[i] = 0
  end
end
return stored
`
