-- wrk script. Everything comes from a job file written by load.py:
--   line 1: mode            (cycle | unique | sync)
--     cycle  = constant requests in turn; unique = ~N~ filled in; sync = W9, needs one connection a thread:
--     record 1 is the filter GET (~U~ = a name), 2 the create, 3 the patch (~I~ = an id), then one known name a record
--   line 2: expected statuses, comma separated
--   line 3: needle that a checked response must contain ("" = none)
--   line 4: every how many responses the body is checked (0 = never)
--   then records: METHOD<TAB>PATH<TAB>BODY  (one a line; ~N~ in path or body = a fresh tag)
recs, mode, ok_status, needle, every = {}, "cycle", {}, "", 0
n, seq, seed = 0, 0, ""
good, bad = 0, 0
first_bad = ""
local threads = {}

function setup(thread) table.insert(threads, thread); thread:set("tid", #threads) end

function init(args)
  local f = assert(io.open(args[1], "r"))
  mode = f:read("*l")
  for s in string.gmatch(f:read("*l"), "%d+") do ok_status[tonumber(s)] = true end
  needle = f:read("*l")
  every = tonumber(f:read("*l"))
  seed = args[2] or "s"
  for line in f:lines() do
    local m, p, b = string.match(line, "^([^\t]*)\t([^\t]*)\t(.*)$")
    recs[#recs + 1] = {m, p, b}
  end
  f:close()
  if mode == "cycle" then            -- requests are constant: format them once
    for i, r in ipairs(recs) do
      local body = r[3]; if body == "" then body = nil end
      r[4] = wrk.format(r[1], r[2], nil, body)
    end
  end
  local off = tonumber(args[3] or "0")
  n = (#recs > 0) and (off % #recs) or 0
end

-- sync mode: filter -> create or patch, one user after another
state, sync_id, sync_name, users_done = "filter", "", "", 0
local function sync_request()
  if state == "filter" then
    seq = seq + 1
    local known = recs[4 + ((n + seq * 7919) % (#recs - 3))]
    if seq % 2 == 0 and known then sync_name = known[1] else sync_name = seed .. "t" .. tid .. "n" .. seq end
    return wrk.format(recs[1][1], (string.gsub(recs[1][2], "~U~", sync_name)))
  elseif state == "create" then
    return wrk.format(recs[2][1], recs[2][2], nil, (string.gsub(recs[2][3], "~N~", sync_name)))
  end
  return wrk.format(recs[3][1], (string.gsub(recs[3][2], "~I~", sync_id)), nil, (string.gsub(recs[3][3], "~N~", seed .. seq)))
end
local function sync_response(body)
  if state == "filter" then
    local id = string.match(body, '"Resources".*"id"%s*:%s*"([^"]+)"')
    id = string.match(body, '"id"%s*:%s*"([^"]+)"') or id
    if string.find(body, '"totalResults"%s*:%s*0[,}%s]') then state = "create"
    else state = "patch"; sync_id = id or "missing" end
  else
    users_done = users_done + 1; state = "filter"
  end
end

function request()
  if mode == "sync" then return sync_request() end
  n = n + 1
  local r = recs[(n - 1) % #recs + 1]
  if r[4] then return r[4] end
  seq = seq + 1
  local tag = seed .. "t" .. tid .. "n" .. seq
  local body = r[3]
  if body ~= "" then body = string.gsub(body, "~N~", tag) else body = nil end
  local path = string.gsub(r[2], "~N~", tag)
  return wrk.format(r[1], path, nil, body)
end

function response(status, headers, body)
  if mode == "sync" then sync_response(body) end
  if ok_status[status] then
    good = good + 1
    if every > 0 and needle ~= "" and good % every == 0 then
      if first_bad == "" and not string.find(body, needle, 1, true) then
        first_bad = "needle missing: " .. string.sub(body, 1, 300)
      end
    end
  else
    bad = bad + 1
    if first_bad == "" then first_bad = status .. " " .. string.sub(body or "", 1, 300) end
  end
end

local function esc(s) return (string.gsub(s, '[%c"\\]', function(c) return string.format("\\u%04x", string.byte(c)) end)) end

function done(summary, latency, requests)
  local g, b, fb, ud = 0, 0, "", 0
  for _, t in ipairs(threads) do
    g = g + (t:get("good") or 0); b = b + (t:get("bad") or 0)
    ud = ud + (t:get("users_done") or 0)
    if fb == "" then fb = t:get("first_bad") or "" end
  end
  io.write(string.format(
    '\nRESULT {"good":%d,"bad":%d,"seconds":%.6f,"sock_errors":%d,"timeouts":%d,' ..
    '"p50_us":%.1f,"p99_us":%.1f,"users_done":%d,"first_bad":"%s"}\n',
    g, b, summary.duration / 1e6,
    summary.errors.connect + summary.errors.read + summary.errors.write, summary.errors.timeout,
    latency:percentile(50), latency:percentile(99), ud, esc(fb)))
end
