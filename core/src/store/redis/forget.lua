-- Takes tenants out of those that may have something running, unless they had lately.
for at = 2, #ARGV do
  local seen = redis.call('ZSCORE', KEYS[2], ARGV[at])
  if seen and tonumber(seen) < tonumber(ARGV[1]) then
    redis.call('ZREM', KEYS[1], ARGV[at])
    redis.call('ZREM', KEYS[2], ARGV[at])
  end
end
return 1
