/**
 * Stores each value whose key still begins with the head that its writer read (kernel/states/stored-state.ts): the
 * format and the arrival frontier.
 *
 *     KEYS  the keys
 *     ARGV  for each key: the expected head, or empty where the key must be absent; the new value, or empty where the
 *           key is to be removed
 *     returns, for each key, 1 where it was stored and 0 where it was not
 *
 * A key whose bytes begin with no head is another program's: it is neither absent nor equal to any, and is never
 * overwritten. One that is no string ends the script with WRONGTYPE, since a read (MGET) takes it for absent.
 */
export const compareAndSet = `
local stored = {}
for i, key in ipairs(KEYS) do
  local expected = ARGV[2 * i - 1]
  local done
  if expected == '' then
    done = redis.call('SET', key, ARGV[2 * i], 'NX')
    if not done and redis.call('TYPE', key).ok ~= 'string' then return redis.error_reply('WRONGTYPE of the key "' .. key .. '"') end
  elseif redis.call('GETRANGE', key, 0, #expected - 1) == expected then
    if ARGV[2 * i] == '' then done = redis.call('UNLINK', key) else done = redis.call('SET', key, ARGV[2 * i]) end
  end
  stored[i] = done and 1 or 0
end
return stored
`
