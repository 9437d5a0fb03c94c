#!lua flags=no-writes
-- describe: what there is to know of one table, at one instant.
--
-- KEYS  1 table config · 2 table stats · 3 created_at · 4 last_write · 5 counters · 6 schema
-- ARGV  1 generation that keys 5 and 6 are of · 2 '1': the schema as well
-- Answers {'ok', {config field, value, …}, {stats field, value, …}, created at, last write or '',
--          {pending rows, pending bytes, pending batches}, {folded, column, …}}
--         {'moved', generation} (keys 5 and 6 are of another one) · {'absent'}
local generation = redis.call('HGET', KEYS[1], 'generation')
if not generation then
  return { 'absent' }
end
if generation ~= ARGV[1] then
  return { 'moved', generation }
end
local pending = redis.call('HMGET', KEYS[5], 'pending_rows', 'pending_bytes', 'pending_batches')
return {
  'ok',
  redis.call('HGETALL', KEYS[1]),
  redis.call('HGETALL', KEYS[2]),
  redis.call('GET', KEYS[3]) or '',
  redis.call('GET', KEYS[4]) or '',
  { pending[1] or '0', pending[2] or '0', pending[3] or '0' },
  ARGV[2] == '1' and redis.call('HGETALL', KEYS[6]) or {},
}
