-- Posts forms in turns: wrk … URL -- CONTENT-TYPE FILE…; prints a LoadResult (load.ts) as one line of JSON.
local requests, turn = {}, 0

function init(args)
  for index = 2, #args do
    local file = assert(io.open(args[index], "rb"))
    requests[#requests + 1] = wrk.format("POST", nil, { ["Content-Type"] = args[1] }, file:read("*a"))
    file:close()
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answered":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"other":%d}\n',
    summary.requests - errors.status, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
