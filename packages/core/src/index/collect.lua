#!lua flags=allow-oom
-- collect: whether an object of a table may be deleted now. What answers `delete` can never get into the index any more:
-- its maker is dead in the same step. Repeatable.
--
-- KEYS  1 table config · 2 plans · 3 dead plans · 4 doomed · 5 pins · 6 the maker's seal hash
--       then for each shard: entry hash of the object's partition
-- ARGV  1 generation · 2 object key · 3 file id · 4 maker: id of the seal or plan that made it
-- Answers {'delete'} · {'gone'} · {'stale', shards} · {'indexed'} · {'held'} (its maker lives) · {'later', not before ms} · {'pinned', until ms}
local plans, dead_plans, doomed, pins = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local object_key, file_id, maker = ARGV[2], ARGV[3], ARGV[4]
local DEAD_FOR_MS = 86400000

if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return { 'gone' }
end
-- With a shard more, the object may be in that one's index.
local shards = redis.call('HGET', KEYS[1], 'shards')
if shards ~= tostring(#KEYS - 6) then
  return { 'stale', shards }
end
for at = 7, #KEYS do
  local entry = redis.call('HGET', KEYS[at], file_id)
  if entry and string.match(entry, '"key":"([^"]*)"') == object_key then
    return { 'indexed' }
  end
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', KEYS[6]) == 1 then
  return { 'held' }
end
local expiry = redis.call('ZSCORE', plans, maker)
if expiry and tonumber(expiry) > now_ms then
  return { 'held' }
end
local not_before = redis.call('ZSCORE', doomed, object_key)
if not_before then
  if tonumber(not_before) > now_ms then
    return { 'later', not_before }
  end
  -- Pins hold what was in the index; what never was, nobody can read.
  redis.call('ZREMRANGEBYSCORE', pins, '-inf', now_ms)
  local last = redis.call('ZRANGE', pins, -1, -1, 'WITHSCORES')
  if last[2] then
    return { 'pinned', last[2] }
  end
end
-- A seal that is not live is committed or revoked and cannot come back. A plan could be prolonged: not any more.
redis.call('ZREM', plans, maker)
redis.call('ZADD', dead_plans, now_ms + DEAD_FOR_MS, maker)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', dead_plans, '-inf', '(' .. now_ms, 'LIMIT', 0, 8)) do
  redis.call('ZREM', dead_plans, id)
end
return { 'delete' }
