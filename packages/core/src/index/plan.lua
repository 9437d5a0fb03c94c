-- plan: registers a plan, or prolongs it: while it is live, objects of its id are not collected and its swap is taken.
--
-- KEYS  1 table config · 2 plans · 3 plan texts · 4 done plans · 5 dead plans
-- ARGV  1 generation · 2 plan id · 3 lives so many ms from now · 4 text (opaque) · 5 '1' to prolong one that is live
-- Answers {'ok', live plans} · {'gone'} · {'done'} · {'dead'}
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return { 'gone' }
end
if redis.call('ZSCORE', KEYS[4], ARGV[2]) then
  return { 'done' }
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[2], ARGV[2])
-- Once it has expired its objects may have been collected: it must not come to life again.
if redis.call('ZSCORE', KEYS[5], ARGV[2]) or (expiry and tonumber(expiry) <= now_ms) or (ARGV[5] == '1' and not expiry) then
  return { 'dead' }
end
-- Plans of the dead: forgotten here, so that nobody has to look for them. Twice what comes in.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now_ms, 'LIMIT', 0, 8)) do
  if id ~= ARGV[2] then
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[3], id)
  end
end
redis.call('ZADD', KEYS[2], now_ms + tonumber(ARGV[3]), ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
return { 'ok', redis.call('ZCARD', KEYS[2]) }
