-- What appending and listing share. `tag` is what every key of the tenant begins with.

-- A row says which lists a task stands in: STATE:OWNER:CONTEXT:ID, where only the id may hold a colon.
local function lists_of(row)
  local state, owner, context, id = string.match(row, '^([^:]*):([^:]*):([^:]*):(.*)$')
  local lists = {
    tag .. ':list:o:' .. owner,
    tag .. ':list:oc:' .. owner .. ':' .. context,
    tag .. ':list:os:' .. owner .. ':' .. state,
    tag .. ':list:ocs:' .. owner .. ':' .. context .. ':' .. state,
  }
  return lists, id
end

local function enlist(row, score)
  local lists, id = lists_of(row)
  for _, list in ipairs(lists) do
    redis.call('ZADD', list, score, id)
  end
end

local function delist(row)
  local lists, id = lists_of(row)
  for _, list in ipairs(lists) do
    redis.call('ZREM', list, id)
  end
end

-- Takes the rows of expired tasks out of their lists, at most `most` of them; says how many. The
-- engine itself has removed, or hides, their journals.
local function purge(most)
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  local rows = redis.call('ZRANGE', expiring, '-inf', '(' .. now, 'BYSCORE', 'LIMIT', 0, most)
  for _, row in ipairs(rows) do
    delist(row)
    redis.call('ZREM', expiring, row)
    -- Another task may have the id by now. What is no head is nobody's obstacle here.
    local _, id = lists_of(row)
    local head = redis.pcall('HMGET', tag .. ':head:' .. id, 'row', 'score')
    if not head.err and head[1] and head[1] ~= '' then
      enlist(head[1], head[2])
    end
  end
  return #rows
end
