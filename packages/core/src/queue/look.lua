#!lua flags=no-writes
-- look: what a flusher must know of one shard to decide what is due.
--
-- KEYS  1 table config · 2 counters · 3 unsealed · 4 batch meta · 5 seals · 6 jobs waiting · 7 jobs active · 8 set aside
-- ARGV  1 shard · 2 seals max
-- Answers {config fields, now ms, {rows, bytes, batches} unsealed, accept ms of the oldest or '',
--          {seal id, sealed ms, …}, jobs waiting, jobs active, set aside, 1 when the oldest is asked for, else 0}
local shard = ARGV[1]
local time = redis.call('TIME')
local prefix = 'u:' .. shard
local unsealed = redis.call('HMGET', KEYS[2], prefix .. ':rows', prefix .. ':bytes', prefix .. ':batches', prefix .. ':asked')
local oldest_ms, is_asked = '', 0
local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
if oldest[1] then
  oldest_ms = string.match(redis.call('HGET', KEYS[4], oldest[1]), '^1:%d+:%d+:%d+:(%d+):')
  -- Up to which sequence, ask-flush.lua has noted; what came later is no part of it.
  if unsealed[4] and tonumber(oldest[2]) <= tonumber(unsealed[4]) then
    is_asked = 1
  end
end
return {
  redis.call('HGETALL', KEYS[1]),
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)),
  { unsealed[1] or '0', unsealed[2] or '0', unsealed[3] or '0' },
  oldest_ms,
  redis.call('ZRANGE', KEYS[5], 0, tonumber(ARGV[2]) - 1, 'WITHSCORES'),
  redis.call('LLEN', KEYS[6]),
  redis.call('LLEN', KEYS[7]),
  redis.call('ZCARD', KEYS[8]),
  is_asked,
}
