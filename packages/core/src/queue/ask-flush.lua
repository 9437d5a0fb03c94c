#!lua flags=allow-oom
-- ask-flush: asks that what is pending up to a put's sequence be flushed now, though nothing else makes it due. Noted only
-- at shards where no seal holds the oldest of it yet, what is sealed being on its way; and over when that is sealed.
-- Repeatable: the highest sequence that was asked for holds.
--
-- KEYS  1 table config · 2 counters · then for each shard: unsealed
-- ARGV  1 generation · 2 sequence, or '' for all that is pending · 3 shard count of the table, or '' when some are enough
--       then the shards' names
-- Answers {'ok', sequence, pending batches, flush_paused as the table sets it or '', {shard asked, …}}
--         {'gone'} · {'stale'} (the table has another shard count)
local config, counters = KEYS[1], KEYS[2]
local settings = redis.call('HMGET', config, 'generation', 'shards', 'flush_paused')
if settings[1] ~= ARGV[1] then
  return { 'gone' }
end
if ARGV[3] ~= '' and settings[2] ~= ARGV[3] then
  return { 'stale' }
end
local counted = redis.call('HMGET', counters, 'seq', 'pending_batches')
-- Never beyond what there has been: that would ask for rows that are yet to come.
local wanted = tonumber(counted[1] or '0')
if ARGV[2] ~= '' then
  wanted = math.min(wanted, tonumber(ARGV[2]))
end
local upto = string.format('%.0f', wanted)

local asked = {}
for at = 3, #KEYS do
  local shard = ARGV[at + 1]
  local oldest = redis.call('ZRANGE', KEYS[at], 0, 0, 'WITHSCORES')
  if oldest[1] and tonumber(oldest[2]) <= wanted then
    local field = 'u:' .. shard .. ':asked'
    if wanted > tonumber(redis.call('HGET', counters, field) or '0') then
      redis.call('HSET', counters, field, upto)
    end
    asked[#asked + 1] = shard
  end
end
return { 'ok', upto, counted[2] or '0', settings[3] or '', asked }
