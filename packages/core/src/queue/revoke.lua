#!lua flags=allow-oom
-- revoke: undoes a seal. Its id is dead for ever; its batches are unsealed again, except the undecodable ones,
-- which are set aside with their payload and the cause. Repeatable.
--
-- KEYS  1 counters · 2 pending · 3 unsealed · 4 batch meta · 5 seals · 6 seal · 7 seal batches · 8 revoked
--       9 set aside · 10 set-aside causes
-- ARGV  1 seal id · 2 shard · 3 cause · then the ids of the undecodable batches
-- Answers {'ok', freed, set aside} · {'already'} · {'unknown'}
local counters, pending, unsealed, batch_meta, seals = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local seal, seal_batches, revoked, set_aside, causes = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local seal_id, shard, cause = ARGV[1], ARGV[2], ARGV[3]

if redis.call('SISMEMBER', revoked, seal_id) == 1 then
  return { 'already' }
end
if redis.call('EXISTS', seal) == 0 then
  return { 'unknown' }
end
local bad = {}
for at = 4, #ARGV do
  bad[ARGV[at]] = true
end

local freed, aside, rows, bytes = 0, 0, 0, 0
local batches = redis.call('ZRANGE', seal_batches, 0, -1, 'WITHSCORES')
for at = 1, #batches, 2 do
  local id, seq = batches[at], batches[at + 1]
  local batch_rows, batch_bytes = string.match(redis.call('HGET', batch_meta, id), '^1:(%d+):(%d+):')
  if bad[id] then
    -- Still pending: readers go on seeing that it is there, and say so when they cannot read it.
    redis.call('ZADD', set_aside, seq, id)
    redis.call('HSET', causes, id, cause)
    aside = aside + 1
  else
    redis.call('ZADD', unsealed, seq, id)
    freed, rows, bytes = freed + 1, rows + tonumber(batch_rows), bytes + tonumber(batch_bytes)
  end
end
redis.call('HINCRBY', counters, 'u:' .. shard .. ':rows', rows)
redis.call('HINCRBY', counters, 'u:' .. shard .. ':bytes', bytes)
redis.call('HINCRBY', counters, 'u:' .. shard .. ':batches', freed)
redis.call('DEL', seal, seal_batches)
redis.call('ZREM', seals, seal_id)
redis.call('SADD', revoked, seal_id)
return { 'ok', freed, aside }
