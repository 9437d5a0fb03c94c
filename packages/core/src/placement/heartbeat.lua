#!lua flags=allow-oom
-- heartbeat: says that a member lives (with an empty info: that it leaves) and answers who lives and who said goodbye.
-- A goodbye is kept like any silent member, with an empty info: whoever is merely absent has not left.
--
-- KEYS  1 members · 2 member info
-- ARGV  1 member id · 2 info JSON (opaque) or '' · 3 live for ms · 4 forgotten after ms
-- Answers {now ms, {info, …}, {id that left, …}}
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '' then
  redis.call('ZADD', KEYS[1], now_ms - tonumber(ARGV[3]) - 1, ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], '')
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
local left = {}
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '(' .. (now_ms - tonumber(ARGV[3])), '-inf', 'LIMIT', 0, 256)) do
  if redis.call('HGET', KEYS[2], id) == '' then
    left[#left + 1] = id
  end
end
return { string.format('%.0f', now_ms), infos, left }
