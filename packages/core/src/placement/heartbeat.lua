-- heartbeat: says that a member lives (with an empty info: that it leaves) and answers who lives.
--
-- KEYS  1 members · 2 member info
-- ARGV  1 member id · 2 info JSON (opaque) or '' · 3 live for ms · 4 forgotten after ms
-- Answers {now ms, {info, …}}
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
elseif ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[1], now_ms, ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now_ms - tonumber(ARGV[4])), 'LIMIT', 0, 16)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
local infos = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now_ms - tonumber(ARGV[3]), '+inf')) do
  infos[#infos + 1] = redis.call('HGET', KEYS[2], id)
end
return { string.format('%.0f', now_ms), infos }
