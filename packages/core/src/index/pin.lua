#!lua flags=allow-oom
-- pin: keeps objects that leave the index from being deleted, or goes on doing so. Repeatable.
--
-- KEYS  1 table config · 2 pins
-- ARGV  1 generation · 2 pin id · 3 lives so many ms from now · 4 '1' to prolong one that is live
-- Answers {'ok'} · {'gone'} · {'expired'} (objects may have been deleted since: begin again under a new id)
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return { 'gone' }
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[2], ARGV[2])
if (expiry and tonumber(expiry) <= now_ms) or (ARGV[4] == '1' and not expiry) then
  return { 'expired' }
end
redis.call('ZADD', KEYS[2], now_ms + tonumber(ARGV[3]), ARGV[2])
return { 'ok' }
